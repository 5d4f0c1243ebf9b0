"""Looks for the layers that hints name before anything is trained. Imports Keras."""

import pathlib

import keras

from components.models import registry
from components.models.building import build_model
from components.settings.models import ContinuedModel, ModelSettings, TrainedModel
from components.training.online_teacher import check_layer, online_with_features
from components.training.start.continued import load_student
from pipeline.config.experiment import Config

_CLASSES = 2  # The data has not been read yet, and no hidden layer depends on their number.


def check_hints(config: Config) -> None:
    """Refuses hints that do not fit the architectures.

    A teacher that does not start from its architecture alone is only looked into when it is there, and so is
    a student from a file: a compiled pipeline may find it elsewhere.

    Args:
      config: The experiment.

    Raises:
      InputError: There is no such layer, or the outputs of the two layers cannot be compared.
    """
    for search in config.distillations:
        layers = search.base.layers
        if layers is None:
            continue
        teacher = _build(config.teacher, config) if type(config.teacher) is ModelSettings else None
        student = _build(config.student, config)
        if student is None:
            continue
        if teacher is not None:
            online_with_features(teacher, student=student, layers=layers)
        else:
            check_layer(student, layer=layers.student, role="student")


def _build(model: TrainedModel, config: Config) -> keras.Model | None:
    keras.backend.clear_session()  # The names of layers count from here, as in a training.
    if isinstance(model, ContinuedModel):
        is_here = pathlib.Path(model.path).exists()
        return load_student(model.path, image_shape=config.image.shape) if is_here else None
    return build_model(
        registry.load(model.architecture),
        name=model.architecture,
        image_shape=config.image.shape,
        num_classes=_CLASSES,
    )
