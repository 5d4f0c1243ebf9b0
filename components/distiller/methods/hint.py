"""Hints from a hidden layer."""

from typing import Annotated, Any, Literal

from etils import epy
from pydantic import Field

from components.distiller.methods.base import SoftMethod
from components.settings.base import NonNegativeFloat

with epy.lazy_imports():
    from keras import ops

    from components.training import online_teacher


class Hint(SoftMethod):
    """Hints from a hidden layer, FitNets: Romero et al. 2015, https://arxiv.org/abs/1412.6550.

    The student also learns its teacher's softened probabilities. The paper trains with the features first and
    with the logits afterwards; here both count at once. The teacher runs in the training step. A layer inside
    a nested model is `MODEL/LAYER`.
    """

    asks_teacher = True

    method: Literal["hint"]
    teacher_layer: Annotated[str, Field(min_length=1)]
    student_layer: Annotated[str, Field(min_length=1)]
    hint_weight: NonNegativeFloat = 1.0

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns T² KL(teacher ‖ student) plus the weighted mean squared error of features, `[batch]`."""
        squares = ops.square(targets["student_features"] - targets["teacher_features"])
        of_features = ops.mean(squares, axis=tuple(range(1, len(squares.shape))))
        return self.divergence(targets, logits) + self.hint_weight * of_features

    @property
    def layers(self) -> "online_teacher.Layers":
        """The layers whose outputs are compared."""
        return online_teacher.Layers(teacher=self.teacher_layer, student=self.student_layer)
