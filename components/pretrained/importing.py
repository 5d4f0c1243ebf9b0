"""A teacher that was trained elsewhere: loaded, checked, and made to look like one of ours."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from components.errors import InputError, first_line
from components.layout import CLASSES_ASSET
from components.models.building import load_model, returns_probabilities, with_float32_output
from components.models.outputs import SMALLEST_PROBABILITY
from components.models.saved_model_layer import SavedModelLayer
from components.pretrained.model_files import find_model

Outputs = Literal["logits", "probabilities"]
Shape = tuple[int | None, ...]

# The mean and the standard deviation of ImageNet's red, green and blue, as torchvision has them.
_IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# What is done to values in [0, 1]: multiplied, then added to.
_RANGES: dict[str, tuple[Any, Any]] = {
    "zero_to_one": (1.0, 0.0),
    "minus_one_to_one": (2.0, -1.0),
    "zero_to_255": (255.0, 0.0),
    "imagenet": (1 / _IMAGENET[1], -_IMAGENET[0] / _IMAGENET[1]),
}
_SIGNATURE = "serving_default"
_SERVING = "Format-Serving"  # Beside `model.keras`, where TFX puts a SavedModel.


def import_teacher(
    path: str,
    *,
    outputs: Outputs,
    pixels: str,
    image_shape: tuple[int, int, int],
    class_names: Sequence[str],
) -> keras.Model:
    """Loads a trained model and adapts it to the images and the logits of this pipeline.

    Images of another size are resized bilinearly. A grey image is repeated for a model of three channels;
    for one of a single channel, colours become their luminance. Probabilities become logits by their
    logarithm; those below 1e-7 count as 1e-7.

    Args:
      path: See `components.pretrained.model_files.find_model`.
      outputs: What the model returns.
      pixels: The range of the values that it was trained on; see `adapt`.
      image_shape: `(height, width, channels)` of the images to come.
      class_names: The classes of the data, in the order of the labels.

    Returns:
      A model from images `[batch, height, width, channels]` in [0, 1] to float32 logits
      `[batch, num_classes]`.

    Raises:
      InputError: The model cannot be loaded, or does not fit.
    """
    place, kind = find_model(path)
    if kind == "keras":
        teacher = _load_keras(str(place), path=path)
    else:
        teacher = _load_saved_model(str(place), outputs=outputs, path=path)
    _check_shapes(teacher, num_classes=len(class_names), path=path)
    _check_class_names(place, class_names=class_names, path=path)
    images = keras.Input(image_shape, name="image")
    adapted = adapt(images, shape=teacher.inputs[0].shape[1:], pixels=pixels, path=path)
    answers = ops.cast(teacher(adapted), "float32")
    is_adapted = adapted is not images or teacher.inputs[0].shape != images.shape
    are_probabilities = returns_probabilities(keras.Model(images, answers), image_shape=image_shape)
    check_outputs(outputs, are_probabilities=are_probabilities, path=path)
    if outputs == "probabilities":
        answers = ops.log(ops.maximum(answers, SMALLEST_PROBABILITY))
    elif not is_adapted:
        return with_float32_output(
            teacher
        )  # Its layers stay where the Distiller and the report look for them.
    return keras.Model(images, answers, name="teacher")


def _load_keras(file: str, *, path: str) -> keras.Model:
    try:
        return load_model(file)
    except Exception as error:  # Other people's code can fail in any way.
        raise InputError(
            f"The teacher {path} cannot be loaded in safe mode ({first_line(error)}); save it without "
            "Lambda layers and classes of its own, or as a SavedModel with model.export('teacher')."
        ) from error


def _load_saved_model(directory: str, *, outputs: Outputs, path: str) -> keras.Model:
    """Wraps the signature `serving_default` of a SavedModel."""
    try:
        signature = tf.saved_model.load(directory).signatures[_SIGNATURE]
    except Exception as error:  # What others have written can fail in any way.
        raise InputError(
            f"The teacher {path} cannot be loaded by its signature {_SIGNATURE!r} ({first_line(error)}); "
            "export it again with model.export('teacher')."
        ) from error
    taken: Mapping[str, tf.TensorSpec] = signature.structured_input_signature[1]
    returned: Mapping[str, tf.TensorSpec] = signature.structured_outputs
    if [each.dtype for each in taken.values()] != [tf.float32]:
        given = ", ".join(f"{name!r} of {each.dtype.name}" for name, each in taken.items())
        raise InputError(
            f"The signature {_SIGNATURE!r} of the teacher {path} takes {given}, not one batch of float32 "
            "images; export one that does, or give a .keras file."
        )
    output = next(iter(returned)) if len(returned) == 1 else outputs
    if output not in returned:
        raise InputError(
            f"The signature {_SIGNATURE!r} of the teacher {path} has the outputs "
            f"{', '.join(sorted(returned))}; export one with a single output, or with one that is called "
            f"{outputs!r}."
        )
    input_name, images = next(iter(taken.items()))
    inputs = keras.Input(batch_shape=_shape_of(images), name="image")
    layer = SavedModelLayer(
        directory=directory,
        signature=_SIGNATURE,
        input_name=input_name,
        output_name=output,
        output_shape=_shape_of(returned[output]),
        name="saved_model",
    )
    return keras.Model(inputs, layer(inputs))


def _shape_of(specification: tf.TensorSpec) -> Shape:
    return () if specification.shape.rank is None else tuple(specification.shape.as_list())


def _check_shapes(teacher: keras.Model, *, num_classes: int, path: str) -> None:
    taken = [tuple(each.shape) for each in getattr(teacher, "inputs", None) or ()]
    returned = [tuple(each.shape) for each in getattr(teacher, "outputs", None) or ()]
    if len(taken) != 1 or not _are_images(taken[0]):
        raise InputError(
            f"The teacher {path} takes inputs of shape {_join(taken)}, not one batch of images of shape "
            "(None, height, width, 1 or 3); give a model that does."
        )
    if len(returned) != 1:
        raise InputError(
            f"The teacher {path} has {len(returned)} outputs; give a model with one, of width {num_classes}."
        )
    if returned[0] != (None, num_classes):
        raise InputError(
            f"The teacher {path} has outputs of shape {returned[0]}, but the data has {num_classes} classes; "
            "give a model of the same classes, in the same order."
        )


def _check_class_names(place: pathlib.Path, *, class_names: Sequence[str], path: str) -> None:
    """Compares the classes that this pipeline writes beside its models, if they are there."""
    for directory in (place, place.parent / _SERVING):
        noted = directory / CLASSES_ASSET
        if noted.is_file() and json.loads(noted.read_text(encoding="utf-8")) != list(class_names):
            raise InputError(
                f"The teacher {path} was trained for other classes than the data's, or in another order; "
                f"{noted} lists them."
            )


def _are_images(shape: Shape) -> bool:
    return len(shape) == 4 and shape[0] is None and shape[3] in (1, 3)


def _join(shapes: list[Shape]) -> str:
    return " and ".join(map(str, shapes)) or "unknown"


def adapt(images: Any, *, shape: Shape, pixels: str, path: str) -> Any:
    """Turns images into what a teacher was trained on.

    Args:
      images: `[batch, height, width, channels]` in [0, 1].
      shape: The teacher's `(height, width, channels)`; None is any size.
      pixels: The range of the values: `zero_to_one`, `minus_one_to_one`, `zero_to_255`, or `imagenet`, less
        ImageNet's mean and divided by its standard deviation.
      path: Where the teacher lies, for error messages.

    Raises:
      InputError: The teacher takes grey images, for which ImageNet has no mean.
    """
    _, own_height, own_width, own_channels = images.shape
    height, width, channels = shape
    if pixels == "imagenet" and channels == 1:
        raise InputError(
            f"The teacher {path} takes images of one channel, but teacher.pixels: imagenet is of red, green "
            "and blue; choose another range."
        )
    size = (height or own_height, width or own_width)
    if own_channels == 3 and channels == 1:
        images = ops.image.rgb_to_grayscale(images)
    if size != (own_height, own_width):
        images = keras.layers.Resizing(*size)(images)
    if own_channels == 1 and channels == 3:
        images = keras.layers.Concatenate()([images, images, images])
    scale, offset = _RANGES[pixels]
    return images if pixels == "zero_to_one" else keras.layers.Rescaling(scale, offset)(images)


def check_outputs(outputs: Outputs, *, are_probabilities: bool, path: str) -> None:
    """Raises InputError unless a teacher returns what its settings say."""
    if are_probabilities and outputs == "logits":
        raise InputError(
            f"The teacher {path} returns probabilities, but logits were expected; set teacher.outputs "
            "to probabilities."
        )
    if not are_probabilities and outputs == "probabilities":
        raise InputError(
            f"The teacher {path} does not return probabilities, as teacher.outputs says: they are not "
            "between 0 and 1, or do not add up to 1; set it to logits."
        )
