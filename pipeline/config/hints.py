"""Looks for the layers that hints name before anything is trained. Imports Keras."""

import keras

from components.models import registry
from components.models.building import build_model
from components.settings.models import ModelSettings
from components.training.online_teacher import check_layer, online_with_features
from pipeline.config.experiment import Config

_CLASSES = 2  # The data has not been read yet, and no hidden layer depends on their number.


def check_hints(config: Config) -> None:
    """Refuses hints that do not fit the architectures.

    A teacher that does not start from its architecture alone is only looked into when it is there.

    Args:
      config: The experiment.

    Raises:
      InputError: There is no such layer, or the outputs of the two layers cannot be compared.
    """
    for search in config.distillations:
        layers = search.base.layers
        if layers is None:
            continue
        if type(config.teacher) is ModelSettings:
            teacher = _build(config.teacher, config)
            online_with_features(teacher, student=_build(config.student, config), layers=layers)
        else:
            check_layer(_build(config.student, config), layer=layers.student, role="student")


def _build(model: ModelSettings, config: Config) -> keras.Model:
    keras.backend.clear_session()  # The names of layers count from here, as in a training.
    return build_model(
        registry.load(model.architecture),
        name=model.architecture,
        image_shape=config.image.shape,
        num_classes=_CLASSES,
    )
