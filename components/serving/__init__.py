"""The forms in which a trained model is served: writing them, and opening them again."""
