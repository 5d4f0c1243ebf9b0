"""Two small networks for scikit-learn's 8x8 digits."""

import keras


def digits_teacher(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds a convolutional network with dropout, about 100,000 parameters at 8x8x1.

    Args:
      image_shape: `(height, width, channels)`.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(num_classes),
        ],
        name="digits_teacher",
    )


def digits_student(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds a perceptron with one hidden layer of 16 units; arguments as in `digits_teacher`."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="digits_student",
    )
