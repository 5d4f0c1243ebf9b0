"""The networks of the cats_vs_dogs lab."""

import keras


def cats_vs_dogs_teacher(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds four convolutions with max pooling and dropout, and a dense layer of 512 units.

    Args:
      image_shape: `(height, width, channels)`; the lab uses 224x224x3.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Dropout(0.2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(128, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="cats_vs_dogs_teacher",
    )


def cats_vs_dogs_student(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds one convolution, pooled and read by a dense layer; arguments as in the teacher's."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ],
        name="cats_vs_dogs_student",
    )
