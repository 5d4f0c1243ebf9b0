"""Architectures of `keras.applications`, with a layer of logits of their own on top.

Naming them imports no Keras: configurations are checked before it is needed.
"""

from __future__ import annotations

import functools
import sys
import typing
from collections.abc import Callable

from components.errors import InputError, first_line, suggest

if typing.TYPE_CHECKING:
    import keras

PREFIX = "keras.applications."
NAMES = (
    *("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
    *("EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3"),
    *("EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7"),
    *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S"),
    *("InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *("ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2"),
    *("VGG16", "VGG19", "Xception"),
)


def is_application(name: object) -> bool:
    """Tells whether a name is meant for an architecture of `keras.applications`."""
    return isinstance(name, str) and name.startswith(PREFIX)


def find_problem(name: str) -> str | None:
    """Says why a name is no architecture of `keras.applications`, or returns None if it is one."""
    own = name.removeprefix(PREFIX)
    if own in NAMES:
        return None
    return f"is not in keras.applications{suggest(own, NAMES) or '; allowed: ' + ', '.join(NAMES)}"


def architecture(
    name: str, *, weights_file: str | None
) -> Callable[[tuple[int, int, int], int], keras.Model]:
    """Returns the function that builds an architecture; nothing is downloaded.

    Its models take images of 1 or 3 channels in [0, 1], and prepare them as the architecture's own
    `preprocess_input` does. With weights from a file, BatchNormalization keeps the weights and statistics
    that it came with: batches of other data would spoil what the other layers have learnt. See
    https://keras.io/guides/transfer_learning.

    Args:
      name: `keras.applications.NAME`.
      weights_file: The weights of all layers but the last; None leaves random ones.

    Returns:
      A function of `(image_shape, num_classes)` that returns a `keras.Model`. It raises InputError if the
      weights are of another architecture.
    """
    return functools.partial(_build, name.removeprefix(PREFIX), weights_file)


def _build(
    name: str, weights_file: str | None, image_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    import keras

    from components.models.fine_tuning import freeze_batch_normalization

    function = getattr(keras.applications, name)
    *size, channels = image_shape
    body = function(include_top=False, weights=None, input_shape=(*size, 3), pooling="avg")
    if weights_file is not None:
        _load_weights(body, name=name, path=weights_file)
        freeze_batch_normalization(body)
    images = keras.Input(image_shape)
    coloured = images if channels == 3 else keras.layers.Concatenate(name="grey_to_rgb")([images] * 3)
    prepared = sys.modules[function.__module__].preprocess_input(coloured * 255)
    return keras.Model(images, keras.layers.Dense(num_classes, name="head")(body(prepared)), name=name)


def _load_weights(body: keras.Model, *, name: str, path: str) -> None:
    try:
        body.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = first_line(error)
        raise InputError(
            f"The weights {path} do not fit {PREFIX}{name} without its last layer ({reason}); give "
            "a file named *_notop.h5 of this architecture, or one that its save_weights wrote."
        ) from error
