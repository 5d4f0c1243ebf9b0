"""The methods of distillation: one a module, found by the registry. Nothing here imports Keras early."""
