"""What a training step is given: batches, augmentation, weights."""
