"""Architectures: functions of `(image_shape, num_classes)` that return a Keras model of logits."""
