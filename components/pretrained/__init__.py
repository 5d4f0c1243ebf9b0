"""Teachers that are not trained here: a pretrained one, or the mean of several."""
