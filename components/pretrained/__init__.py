"""Teachers that are not trained here: pretrained ones, the mean of several, and those of other frameworks."""
