"""The form in which a trained model is served."""
