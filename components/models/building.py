"""Building a model and checking that it is one this pipeline can train."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from components.errors import InputError
from components.models.outputs import are_probabilities

Architecture = Callable[[tuple[int, int, int], int], keras.Model]


def build_model(
    architecture: Architecture,
    *,
    name: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    precision: str = "float32",
) -> keras.Model:
    """Builds a model and checks its output.

    Args:
      architecture: Function of `(image_shape, num_classes)`.
      name: How the user calls the architecture, for error messages.
      image_shape: `(height, width, channels)`.
      num_classes: Number of classes.
      precision: Keras dtype policy of the layers. The logits are float32 in any case.

    Returns:
      A model from images `[batch, height, width, channels]` in [0, 1] to logits
      `[batch, num_classes]`.

    Raises:
      InputError: The function fails, does not return a Keras model, or the model's output is not
        `[batch, num_classes]` logits.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = architecture(image_shape, num_classes)
    except ValueError as error:
        size = "x".join(map(str, image_shape))
        reason = str(error).splitlines()[0]
        raise InputError(f"Architecture {name!r} cannot be built for images of {size}: {reason}") from error
    finally:
        keras.config.set_dtype_policy(before)
    if not isinstance(model, keras.Model):
        raise InputError(f"Architecture {name!r} returned {type(model).__name__}, not a keras.Model.")
    check_width(model, name=name, num_classes=num_classes)
    _check_logits(model, name=name, image_shape=image_shape)
    return with_float32_output(model)


def check_width(model: keras.Model, *, name: str, num_classes: int) -> None:
    """Raises InputError unless the model's output is `[batch, num_classes]`."""
    shape = getattr(model, "output_shape", None)
    if shape != (None, num_classes):
        raise InputError(
            f"Architecture {name!r} has outputs of shape {shape}, but the data has {num_classes} classes; "
            f"its last layer must have {num_classes} units, as in keras.layers.Dense(num_classes)."
        )


def load_model(path: str | pathlib.Path) -> keras.Model:
    """Loads a `.keras` file without running code of its own.

    Args:
      path: The file; it may hold layers of this package.

    Raises:
      ValueError: It holds what is not safe; other errors of Keras if it is no such file.
    """
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def returns_probabilities(model: keras.Model, *, image_shape: tuple[int, int, int]) -> bool:
    """Tells whether the outputs on random images look like probabilities.

    Args:
      model: Maps images `[batch, height, width, channels]` in [0, 1] to `[batch, num_classes]`.
      image_shape: `(height, width, channels)`.
    """
    images = np.random.default_rng(0).random((4, *image_shape), dtype=np.float32)
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(model(images, training=False), "float32"))
    return bool(are_probabilities(outputs).all())


def _check_logits(model: keras.Model, *, name: str, image_shape: tuple[int, int, int]) -> None:
    if returns_probabilities(model, image_shape=image_shape):
        raise InputError(
            f"Architecture {name!r} returns probabilities, but distillation needs logits; remove the softmax "
            "from its last layer."
        )


def with_float32_output(model: keras.Model) -> keras.Model:
    """Returns the model, with its output turned into float32 if it is not."""
    if keras.backend.standardize_dtype(model.outputs[0].dtype) == "float32":
        return model
    logits = keras.layers.Activation("linear", dtype="float32", name="float32_logits")(model.outputs[0])
    return keras.Model(model.inputs, logits, name=model.name)
