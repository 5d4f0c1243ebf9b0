"""What a training starts from, beside random weights: a file, or what earlier runs left."""
