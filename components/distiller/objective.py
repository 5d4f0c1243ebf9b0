"""What a distilled student minimises."""

from typing import Any

import keras

from components.training.losses import cross_entropy, distillation_loss


class KnowledgeDistillation(keras.losses.Loss):
    """Weighs the student's own loss on the labels against the distance to its teacher.

    The loss of an example is `w * cross_entropy + (1 - w) * distillation_loss`, with
    `w = student_loss_weight`: 0 is pure distillation, 1 is supervised training.

    Args:
      temperature: Softens both distributions, above 0.
      student_loss_weight: Between 0 and 1.
    """

    def __init__(self, *, temperature: float, student_loss_weight: float) -> None:
        super().__init__(name="knowledge_distillation")
        self._temperature = temperature
        self._student_loss_weight = student_loss_weight

    def call(self, y_true: dict[str, Any], y_pred: Any) -> Any:
        """Returns the loss of each example, `[batch]`.

        Args:
          y_true: `label` `[batch]` and `teacher_logits` `[batch, num_classes]`.
          y_pred: The student's logits `[batch, num_classes]`.
        """
        own = cross_entropy(logits=y_pred, labels=y_true["label"])
        distilled = distillation_loss(
            student_logits=y_pred, teacher_logits=y_true["teacher_logits"], temperature=self._temperature
        )
        return self._student_loss_weight * own + (1 - self._student_loss_weight) * distilled
