"""A network that learns CIFAR-10 in few operations: Jordan, "94% on CIFAR-10 in 3.29 Seconds", 2024.

https://arxiv.org/abs/2404.00498.
"""

from typing import Any

import keras
from keras import layers

_SCALE = 1 / 9  # Of the logits, as in the paper.
_MOMENTUM = 0.9  # Of the running statistics: a training of ten epochs has no time for Keras's 0.99.


def airbench(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds the paper's network of six wide convolutions, about 2,000,000 parameters.

    Its first layer is an ordinary convolution here; the paper's is computed from the training images.

    Args:
      image_shape: `(height, width, channels)`, at least 24x24; made for 32x32.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    inputs = keras.Input(image_shape)
    x = _activate(_convolve(inputs, filters=24))
    for filters in (64, 256, 256):
        x = _activate(layers.MaxPooling2D(2)(_convolve(x, filters=filters)))
        x = _activate(_convolve(x, filters=filters))
    x = layers.Dense(num_classes, use_bias=False)(layers.GlobalMaxPooling2D()(x))
    return keras.Model(inputs, layers.Rescaling(_SCALE)(x), name="airbench")


def _convolve(x: Any, *, filters: int) -> Any:
    return layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)


def _activate(x: Any) -> Any:
    return layers.Activation("gelu")(layers.BatchNormalization(momentum=_MOMENTUM, scale=False)(x))
