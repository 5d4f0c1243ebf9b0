"""How a student is distilled: the method and its hyper-parameters."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from components.settings.base import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    Settings,
    custom_error,
)


class _Distillation(Settings):
    """What every method has: a name, and the weight of the student's own loss on the labels.

    `student_loss_weight` 0 is pure distillation, 1 is supervised training.
    """

    name: str
    student_loss_weight: Fraction = 0.1

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            raise custom_error("must start with a letter and hold only letters, digits, '_' and '-'")
        if name.lower() in ("teacher", "scratch"):
            raise custom_error("is the name of another model of the comparison; choose another")
        return name


class KdSettings(_Distillation):
    """Knowledge distillation, Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    `standardise_logits`: Sun et al. 2024, https://arxiv.org/abs/2403.01427.
    """

    method: Literal["kd"]
    temperature: PositiveFloat = 4.0
    standardise_logits: bool = False


class DkdSettings(_Distillation):
    """Decoupled knowledge distillation, Zhao et al. 2022, https://arxiv.org/abs/2203.08679.

    The defaults are the paper's for CIFAR-100, where the student's own loss and the distance to the
    teacher count alike.
    """

    method: Literal["dkd"]
    student_loss_weight: Fraction = 0.5
    temperature: PositiveFloat = 4.0
    target_weight: NonNegativeFloat = 1.0
    non_target_weight: NonNegativeFloat = 8.0
    warmup_epochs: NonNegativeInt = 20
    standardise_logits: bool = False


class DistSettings(_Distillation):
    """DIST, which correlates, Huang et al. 2022, https://arxiv.org/abs/2205.10536."""

    method: Literal["dist"]
    student_loss_weight: Fraction = 0.33
    temperature: PositiveFloat = 1.0
    inter_class_weight: NonNegativeFloat = 1.0
    intra_class_weight: NonNegativeFloat = 1.0


class LogitsMseSettings(_Distillation):
    """Matching of logits, Ba and Caruana 2014, https://arxiv.org/abs/1312.6184."""

    method: Literal["logits_mse"]


class HintSettings(_Distillation):
    """Hints from a hidden layer, beside kd: FitNets, Romero et al. 2015, https://arxiv.org/abs/1412.6550.

    The teacher runs in the training step. A layer inside a nested model is `MODEL/LAYER`.
    """

    method: Literal["hint"]
    teacher_layer: Annotated[str, Field(min_length=1)]
    student_layer: Annotated[str, Field(min_length=1)]
    hint_weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 4.0


DistillationSettings = Annotated[
    KdSettings | DkdSettings | DistSettings | LogitsMseSettings | HintSettings, Field(discriminator="method")
]
