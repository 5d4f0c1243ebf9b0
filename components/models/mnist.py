"""The networks of the MNIST lab: ten times as many parameters in the teacher as in the student."""

import keras


def mnist_teacher(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds three convolutions with average pooling and two wide dense layers.

    Args:
      image_shape: `(height, width, channels)`.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    return _network(image_shape, num_classes, filters=(16, 32, 64), units=(1024, 512), name="mnist_teacher")


def mnist_student(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds two narrow convolutions and two small dense layers; arguments as in `mnist_teacher`."""
    return _network(image_shape, num_classes, filters=(8, 8), units=(64, 32), name="mnist_student")


def _network(
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: tuple[int, ...],
    units: tuple[int, ...],
    name: str,
) -> keras.Model:
    model = keras.Sequential([keras.Input(image_shape)], name=name)
    for count in filters:
        model.add(keras.layers.Conv2D(count, 3, padding="same", activation="relu"))
        model.add(keras.layers.AveragePooling2D(2))
    model.add(keras.layers.Flatten())
    for count in units:
        model.add(keras.layers.Dense(count, activation="relu"))
    model.add(keras.layers.Dense(num_classes))
    return model
