"""A network for phones."""

import keras


def mobilenet_v3_small(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds MobileNetV3-Small, untrained: about a million parameters and few multiply-adds.

    Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244.

    Args:
      image_shape: `(height, width, channels)`, at least 32x32.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    inputs = keras.Input(image_shape)
    network = keras.applications.MobileNetV3Small(
        input_shape=image_shape,
        weights=None,
        classes=num_classes,
        classifier_activation=None,
        include_preprocessing=False,
    )
    centred = keras.layers.Rescaling(2.0, offset=-1.0)(inputs)
    return keras.Model(inputs, network(centred), name="mobilenet_v3_small")
