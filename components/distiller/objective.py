"""What a distilled student minimises."""

from typing import Any

import keras

from components.distiller.methods.base import Method
from components.training.learner import Supervised, Targets


class Distillation(keras.losses.Loss):
    """Weighs the student's own loss on the labels against the distance to its teacher.

    The loss of an example is `w * Supervised + (1 - w) * distance`, with `w = student_loss_weight`; of one
    without a label the first part is 0.

    Args:
      method: Has the distance and the weight.
      label_smoothing: Of the student's own loss, in [0, 1).
    """

    def __init__(self, method: Method, *, label_smoothing: float = 0.0) -> None:
        super().__init__(name="distillation")
        self._method = method
        self._own_loss = Supervised(label_smoothing=label_smoothing)

    def call(self, y_true: Targets, y_pred: Any) -> Any:
        """Returns the loss of each example, `[batch]`.

        Args:
          y_true: The targets of `Supervised` and those of the method's distance.
          y_pred: The student's logits `[batch, num_classes]`.
        """
        weight = self._method.student_loss_weight
        own, distance = self._own_loss.call(y_true, y_pred), self._method.distance(y_true, y_pred)
        return weight * own + (1 - weight) * distance
