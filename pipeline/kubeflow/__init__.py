"""What open-source Kubeflow Pipelines needs in addition to what TFX provides."""
