"""Looks for the layers that hints name before anything is trained. Imports Keras."""

import keras

from components.models import registry
from components.settings import HintSettings, ModelSettings
from components.training.models import build_model
from components.training.teaching import Hint, online_with_hint
from pipeline.config import Config

_CLASSES = 2  # The data has not been read yet, and no hidden layer depends on their number.


def check_hints(config: Config) -> None:
    """Refuses hints that do not fit the architectures.

    Args:
      config: The experiment.

    Raises:
      InputError: There is no such layer, or the outputs of the two layers cannot be compared.
    """
    for distillation in config.distillations:
        if isinstance(distillation, HintSettings):
            online_with_hint(
                _build(config.teacher, config),
                student=_build(config.student, config),
                hint=Hint(teacher_layer=distillation.teacher_layer, student_layer=distillation.student_layer),
            )


def _build(model: ModelSettings, config: Config) -> keras.Model:
    keras.backend.clear_session()  # The names of layers count from here, as in a training.
    return build_model(
        registry.load(model.architecture),
        name=model.architecture,
        image_shape=config.image.shape,
        num_classes=_CLASSES,
    )
