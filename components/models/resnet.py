"""Residual networks for small images: He et al., "Deep Residual Learning", 2015, section 4.2.

https://arxiv.org/abs/1512.03385. Made for 32x32 images; others work too.
"""

from typing import Any

import keras
from keras import layers, ops

# How much of its running statistics BatchNormalization keeps a step. Keras's 0.99 has half of its first guess
# left after 70 steps: a short training on few images would be validated by statistics that are not its own.
_MOMENTUM = 0.9


def resnet20(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds a residual network of 20 layers, about 270,000 parameters.

    Args:
      image_shape: `(height, width, channels)`.
      num_classes: Width of the output.

    Returns:
      A model from `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
    """
    return _resnet(image_shape, num_classes, blocks_per_stage=3, name="resnet20")


def resnet56(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds one of 56 layers, about 850,000 parameters; arguments as in `resnet20`."""
    return _resnet(image_shape, num_classes, blocks_per_stage=9, name="resnet56")


def _resnet(
    image_shape: tuple[int, int, int], num_classes: int, *, blocks_per_stage: int, name: str
) -> keras.Model:
    inputs = keras.Input(image_shape)
    x = layers.ReLU()(_convolve(inputs, filters=16, strides=1))
    for filters in (16, 32, 64):
        for block in range(blocks_per_stage):
            shrinks = block == 0 and filters > 16
            x = _residual_block(x, filters=filters, strides=2 if shrinks else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x), name=name)


def _residual_block(x: Any, *, filters: int, strides: int) -> Any:
    residual = layers.ReLU()(_convolve(x, filters=filters, strides=strides))
    residual = _convolve(residual, filters=filters, strides=1)
    if strides > 1:
        x = _shrink(x, filters=filters)
    return layers.ReLU()(layers.Add()([x, residual]))


def _convolve(x: Any, *, filters: int, strides: int) -> Any:
    x = layers.Conv2D(
        filters, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return layers.BatchNormalization(momentum=_MOMENTUM)(x)


def _shrink(x: Any, *, filters: int) -> Any:
    """Takes every second pixel and fills the new channels with zeros: the paper's option A."""
    missing = filters - x.shape[-1]
    x = layers.MaxPooling2D(1, strides=2, padding="same")(x)
    return ops.pad(x, [[0, 0], [0, 0], [0, 0], [missing // 2, missing - missing // 2]])
