"""The teacher inside the training step: it sees exactly the batch that the student sees."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from components.errors import InputError, suggest
from components.training.learner import Targets, Teacher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers:
    """The names of two layers whose outputs are compared; one inside a nested model is `MODEL/LAYER`."""

    teacher: str
    student: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnlineTeacher:
    """A teacher's `.keras` file, and the layers that an objective compares, if it does."""

    keras_file: str
    layers: Layers | None = None


def online(teacher: keras.Model) -> Teacher:
    """Makes a model the teacher of a `Learner`.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.

    Returns:
      A function from images to the targets `{"teacher_logits": [batch, num_classes]}`.
    """

    def ask(images: Any) -> Targets:
        return {"teacher_logits": teacher(images, training=False)}

    return ask


def online_with_features(
    teacher: keras.Model, *, student: keras.Model, layers: Layers
) -> tuple[Teacher, keras.Model]:
    """Makes a teacher and a student show the outputs of hidden layers, each in one forward pass.

    Where the widths differ, a learned linear projector brings the student's features to the teacher's
    width: Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, https://arxiv.org/abs/1412.6550. Where
    the sizes of two feature maps differ, the teacher's is resized to the student's.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      student: Likewise. It is not changed; the projector is not part of it.
      layers: Whose outputs to show.

    Returns:
      The teacher, a function from images to the targets `teacher_logits` `[batch, num_classes]` and
      `teacher_features` `[batch, ..., width]`; and a model that shares the student's layers, from images
      to `logits` `[batch, num_classes]` and `student_features` `[batch, ..., width]`.

    Raises:
      InputError: There is no such layer, or the features cannot be compared.
    """
    check_layer(teacher, layer=layers.teacher, role="teacher")
    check_layer(student, layer=layers.student, role="student")
    of_teacher = _with_output_of(teacher, layers.teacher.split("/"))
    of_student = _with_output_of(student, layers.student.split("/"))
    teacher_logits, teacher_features = of_teacher.outputs
    logits, features = of_student.outputs
    size, teacher_size = features.shape[1:-1], teacher_features.shape[1:-1]
    if size != teacher_size and not len(size) == len(teacher_size) == 2:
        raise InputError(
            f"The student_layer {layers.student!r} returns features of shape "
            f"{features.shape[1:]}, but the teacher_layer {layers.teacher!r} of shape "
            f"{teacher_features.shape[1:]}; choose two feature maps, or two vectors."
        )
    if features.shape[-1] != teacher_features.shape[-1]:
        projector = keras.layers.Dense(teacher_features.shape[-1], dtype="float32", name="projector")
        features = projector(features)
    if size != teacher_size:
        teacher_features = ops.image.resize(teacher_features, size, antialias=True)
    asked = keras.Model(
        of_teacher.inputs[0], {"teacher_logits": teacher_logits, "teacher_features": teacher_features}
    )
    shown = keras.Model(of_student.inputs[0], {"logits": logits, "student_features": features})
    return functools.partial(asked, training=False), shown


def check_layer(model: keras.Model, *, layer: str, role: str) -> None:
    """Raises InputError, with the names of those that there are, unless a model has a layer."""
    known = list(_layers(model))
    if layer not in known:
        raise InputError(
            f"The {role}_layer {layer!r} is no layer of the {role}; allowed: {', '.join(known)}"
            f"{suggest(layer, known)}"
        )


def _layers(model: keras.Model) -> Iterator[str]:
    """Yields the names of the layers that have one output, those of nested models behind them."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(getattr(layer, "output", None), keras.KerasTensor):
            yield layer.name
        if isinstance(layer, keras.Model):
            yield from (f"{layer.name}/{name}" for name in _layers(layer))


def _with_output_of(model: keras.Model, path: list[str]) -> keras.Model:
    """Returns a model of the same layers that returns its output and that of the layer at a path."""
    name, *inside = path
    chosen = model.get_layer(name)
    if not inside:
        return keras.Model(model.inputs[0], [model.outputs[0], chosen.output])
    # The nested model is replaced by one that shows its layer too, so that it still runs once.
    nested = _with_output_of(chosen, inside)
    features = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer is not chosen:
            return layer(*args, **kwargs)
        output, shown = nested(*args, **kwargs)
        features.append(shown)
        return output

    functional = keras.Model(model.inputs[0], model.outputs)
    rewired = keras.models.clone_model(functional, clone_function=lambda layer: layer, call_function=call)
    return keras.Model(rewired.inputs[0], [rewired.outputs[0], features[0]])
