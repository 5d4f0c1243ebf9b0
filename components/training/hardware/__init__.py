"""What a model is trained on: precision, and one device or several."""
