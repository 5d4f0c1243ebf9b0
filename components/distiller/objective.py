"""What a distilled student minimises."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from components.training.learner import Supervised, Targets
from components.training.losses import (
    correlation_loss,
    decoupled_distillation_loss,
    distillation_loss,
    features_squared_error,
    logits_squared_error,
    standardise_logits,
)

# From targets and the student's logits to a loss per example.
Distance = Callable[[Targets, Any], Any]


class Distillation(keras.losses.Loss):
    """Weighs the student's own loss on the labels against the distance to its teacher.

    The loss of an example is `w * Supervised + (1 - w) * distance`, with
    `w = student_loss_weight`: 0 is pure distillation, 1 is supervised training.

    Args:
      distance: Between teacher and student; see the functions of this module.
      student_loss_weight: Between 0 and 1.
      label_smoothing: Of the student's own loss, in [0, 1).
    """

    def __init__(
        self, *, distance: Distance, student_loss_weight: float, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(name="distillation")
        self._distance = distance
        self._student_loss_weight = student_loss_weight
        self._own_loss = Supervised(label_smoothing=label_smoothing)

    def call(self, y_true: Targets, y_pred: Any) -> Any:
        """Returns the loss of each example, `[batch]`.

        Args:
          y_true: The targets of `Supervised`, `teacher_logits` `[batch, num_classes]`, for hints also
            `teacher_features` and `student_features` `[batch, ...]`, and `epoch`, a scalar.
          y_pred: The student's logits `[batch, num_classes]`.
        """
        weight = self._student_loss_weight
        return weight * self._own_loss.call(y_true, y_pred) + (1 - weight) * self._distance(y_true, y_pred)


def kd(*, temperature: float, standardise_logits: bool = False) -> Distance:
    """Makes the distance of knowledge distillation; see `distillation_loss`."""

    def distance(targets: Targets, logits: Any) -> Any:
        return distillation_loss(
            student_logits=logits,
            teacher_logits=targets["teacher_logits"],
            temperature=temperature,
            standardise=standardise_logits,
        )

    return distance


def dkd(
    *,
    temperature: float,
    target_weight: float,
    non_target_weight: float,
    warmup_epochs: int,
    standardise_logits: bool = False,
) -> Distance:
    """Makes the distance of decoupled distillation; see `decoupled_distillation_loss`.

    It grows in equal steps to its full weight over the first `warmup_epochs`, as in the paper.
    """

    def distance(targets: Targets, logits: Any) -> Any:
        loss = decoupled_distillation_loss(
            student_logits=logits,
            teacher_logits=targets["teacher_logits"],
            labels=targets["label"],
            temperature=temperature,
            target_weight=target_weight,
            non_target_weight=non_target_weight,
            standardise=standardise_logits,
        )
        return loss * ops.minimum((targets["epoch"] + 1) / max(warmup_epochs, 1), 1.0)

    return distance


def dist(*, temperature: float, inter_class_weight: float, intra_class_weight: float) -> Distance:
    """Makes the distance of DIST; see `correlation_loss`."""

    def distance(targets: Targets, logits: Any) -> Any:
        return correlation_loss(
            student_logits=logits,
            teacher_logits=targets["teacher_logits"],
            temperature=temperature,
            inter_class_weight=inter_class_weight,
            intra_class_weight=intra_class_weight,
        )

    return distance


def logits_mse(targets: Targets, logits: Any) -> Any:
    """Is the distance of logit matching; see `logits_squared_error`."""
    return logits_squared_error(student_logits=logits, teacher_logits=targets["teacher_logits"])


def hint(*, temperature: float, hint_weight: float) -> Distance:
    """Makes the distance of FitNets: that of `kd`, and the weighted `features_squared_error`.

    The paper trains with the features first and with the logits afterwards; here both count at once.
    """
    of_logits = kd(temperature=temperature)

    def distance(targets: Targets, logits: Any) -> Any:
        of_features = features_squared_error(
            student_features=targets["student_features"], teacher_features=targets["teacher_features"]
        )
        return of_logits(targets, logits) + hint_weight * of_features

    return distance


def are_uniform(logits: Any, *, temperature: float, standardise: bool = False) -> bool:
    """Tells whether the probabilities softened by a temperature are all equal to float32 precision.

    Args:
      logits: Logits `[examples, num_classes]`.
      temperature: T, above 0.
      standardise: Whether the logits are standardised first.
    """
    if standardise:
        logits = standardise_logits(logits)
    softened = ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32") / temperature, axis=-1))
    return bool(np.ptp(softened, axis=-1).max() <= np.finfo(np.float32).eps / softened.shape[-1])
