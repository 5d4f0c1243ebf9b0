"""From settings to what a distilled student minimises."""

import logging

import numpy as np

from components.distiller import objective
from components.settings.distillation import (
    DistillationSettings,
    DistSettings,
    DkdSettings,
    HintSettings,
    KdSettings,
    LogitsMseSettings,
)
from components.training.callbacks.progress import tell
from components.training.online_teacher import Hint


def make_distance(settings: DistillationSettings) -> objective.Distance:
    """Makes the distance to the teacher that a method minimises."""
    match settings:
        case KdSettings():
            return objective.kd(
                temperature=settings.temperature, standardise_logits=settings.standardise_logits
            )
        case DkdSettings():
            return objective.dkd(
                temperature=settings.temperature,
                target_weight=settings.target_weight,
                non_target_weight=settings.non_target_weight,
                warmup_epochs=settings.warmup_epochs,
                standardise_logits=settings.standardise_logits,
            )
        case DistSettings():
            return objective.dist(
                temperature=settings.temperature,
                inter_class_weight=settings.inter_class_weight,
                intra_class_weight=settings.intra_class_weight,
            )
        case LogitsMseSettings():
            return objective.logits_mse
        case HintSettings():
            return objective.hint(temperature=settings.temperature, hint_weight=settings.hint_weight)


def make_hint(settings: DistillationSettings) -> Hint | None:
    """Returns the layers that a method compares, or None if it looks at the logits alone."""
    if not isinstance(settings, HintSettings):
        return None
    return Hint(teacher_layer=settings.teacher_layer, student_layer=settings.student_layer)


def warn_of_uniform_labels(settings: DistillationSettings, logits: np.ndarray, *, name: str) -> None:
    """Tells the user if the temperature leaves nothing of what the teacher knows.

    Args:
      settings: The method; one without a temperature is passed over.
      logits: What the teacher says of some examples, `[examples, num_classes]`.
      name: How to call the student in messages.
    """
    temperature = getattr(settings, "temperature", None)
    if temperature is None:
        return
    standardise = getattr(settings, "standardise_logits", False)
    if objective.are_uniform(logits, temperature=temperature, standardise=standardise):
        tell(
            f"learns nothing from its teacher, whose probabilities at temperature {temperature:g} are all "
            "equal to float precision; lower the temperature",
            name=name,
            level=logging.WARNING,
        )
