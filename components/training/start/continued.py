"""A student that is trained further: loaded from a `.keras` file, checked, and fitted to its classes.

Checking that the file is there imports no Keras: configurations are checked before it is needed.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from etils import epy

from components.errors import InputError, first_line, suggest
from components.layout import KERAS_FILE, is_keras_file

with epy.lazy_imports():
    import keras

    from components.models import building, fine_tuning

_KEY = "student.from"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continued:
    """A model to train further.

    Attributes:
      model: From images `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
      former_classes: The width of the last layer that a new one was put in place of; None if it was kept.
    """

    model: keras.Model
    former_classes: int | None


def check_file(path: str) -> None:
    """Raises InputError unless there is a `.keras` file."""
    place = pathlib.Path(path)
    if is_keras_file(place):
        return
    if (place / KERAS_FILE).is_file():
        raise InputError(f"{_KEY} {path} is a directory; give the file in it: {place / KERAS_FILE}.")
    if place.exists():
        raise InputError(
            f"{_KEY} {path} is no .keras file, which alone can be trained further; write one with "
            "model.save('student.keras')."
        )
    beside = [str(each) for each in place.parent.glob("*.keras")]
    raise InputError(f"{_KEY} {path} does not exist; give a .keras file{suggest(path, beside) or '.'}")


def load_student(path: str, *, image_shape: tuple[int, int, int]) -> keras.Model:
    """Loads a model as it is in its file.

    Args:
      path: A `.keras` file.
      image_shape: `(height, width, channels)` of the images to come.

    Returns:
      A functional model of one input and one output.

    Raises:
      InputError: There is no such file, it cannot be loaded, or takes other images.
    """
    check_file(path)
    try:
        model = building.load_model(path)
    except Exception as error:  # Other people's code can fail in any way.
        raise InputError(
            f"{_KEY} {path} cannot be loaded in safe mode ({first_line(error)}); save it without Lambda "
            "layers and classes of its own."
        ) from error
    inputs, outputs = (getattr(model, name, None) or [] for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{_KEY} {path} has {len(inputs)} inputs and {len(outputs)} outputs; give a functional or "
            "sequential model of one each."
        )
    _check_takes(inputs[0].shape, image_shape=image_shape, path=path)
    return keras.Model(inputs[0], outputs[0], name=model.name)


def continue_model(
    path: str, *, image_shape: tuple[int, int, int], num_classes: int, precision: str
) -> Continued:
    """Loads a model to train it further.

    A last Dense layer of another width than the number of classes gives way to a new one, of random weights;
    BatchNormalization then keeps what it came with, as in `components.models.applications`.

    Args:
      path: A `.keras` file.
      image_shape: `(height, width, channels)` of the images to come.
      num_classes: Number of classes.
      precision: Keras dtype policy of the layers, whatever the file's. The logits are float32 in any case.

    Raises:
      InputError: See `load_student`; or its outputs cannot become logits of the classes.
    """
    model = _in_precision(load_student(path, image_shape=image_shape), precision)
    former_classes = None
    if model.output_shape != (None, num_classes):
        head = fine_tuning.find_head(model)
        if head is None or len(model.output_shape) != 2:
            raise InputError(
                f"{_KEY} {path} has outputs of shape {model.output_shape}, but the data has {num_classes} "
                "classes, and only a last layer keras.layers.Dense can be replaced; give a model that ends "
                "in one."
            )
        former_classes = head.units
        model = fine_tuning.replace_head(model, head=head, num_classes=num_classes)
        fine_tuning.freeze_batch_normalization(model)
    elif building.returns_probabilities(model, image_shape=image_shape):
        raise InputError(
            f"{_KEY} {path} returns probabilities, but distillation needs logits; save it without the "
            "softmax of its last layer."
        )
    if not model.trainable_variables:
        raise InputError(
            f"{_KEY} {path} has no weights that may be trained; set trainable to True before it is saved."
        )
    return Continued(model=building.with_float32_output(model), former_classes=former_classes)


def _check_takes(shape: tuple[int | None, ...], *, image_shape: tuple[int, int, int], path: str) -> None:
    """Raises InputError unless an input takes batches of images."""
    if len(shape) != 4 or shape[0] is not None:
        raise InputError(
            f"{_KEY} {path} takes inputs of shape {shape}, not batches of images of shape "
            "(None, height, width, channels); give a model that does."
        )
    if any(own not in (None, given) for own, given in zip(shape[1:], image_shape, strict=True)):
        own, given = ("x".join(str(size or "any") for size in each) for each in (shape[1:], image_shape))
        raise InputError(f"{_KEY} {path} takes images of {own}, but image says {given}; set image to {own}.")


def _in_precision(model: keras.Model, precision: str) -> keras.Model:
    """Returns a model of the same weights that computes in a precision, but for what maps its logits."""
    head = fine_tuning.find_head(model)
    kept = fine_tuning.layers_behind(model, head=head) if head else []
    layers = [layer for layer in fine_tuning.leaves(model) if layer.weights and layer not in kept]
    if all(layer.dtype_policy.name == precision for layer in layers):
        return model

    def clone(operation: Any) -> Any:
        changes_type = isinstance(operation, keras.Layer) and operation not in kept
        changes = {"dtype": precision} if changes_type else {}
        return operation.from_config(operation.get_config() | changes)

    other = keras.models.clone_model(model, clone_function=clone, recursive=True)
    other.set_weights(model.get_weights())
    return keras.Model(other.inputs[0], other.outputs[0], name=model.name)
