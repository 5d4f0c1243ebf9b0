"""DIST: distillation by correlation."""

from typing import Any, Literal

from etils import epy

from components.distiller.methods.base import SoftMethod
from components.settings.base import Fraction, NonNegativeFloat, PositiveFloat

with epy.lazy_imports():
    from keras import ops

    from components.training.hardware import devices

_SMALLEST_VARIANCE = 1e-12


class Dist(SoftMethod):
    """DIST, which correlates probabilities, Huang et al. 2022, https://arxiv.org/abs/2205.10536.

    `inter_class_weight` and `intra_class_weight` are the paper's beta and gamma.
    """

    method: Literal["dist"]
    student_loss_weight: Fraction = 0.33
    temperature: PositiveFloat = 1.0
    inter_class_weight: NonNegativeFloat = 1.0
    intra_class_weight: NonNegativeFloat = 1.0

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns T² (b (1 - r between classes) + c (1 - r within classes)), `[batch]`.

        r is Pearson's correlation. The first correlates the probabilities of the classes for each example;
        the second those of the examples for each class, which is one number for the batch, on however many
        devices that is.
        """
        teacher = ops.softmax(targets["teacher_logits"] / self.temperature, axis=-1)
        student = ops.softmax(logits / self.temperature, axis=-1)
        inter = 1 - _correlate(teacher, student, axis=-1)
        intra = 1 - ops.mean(_correlate(devices.gather(teacher), devices.gather(student), axis=0))
        return self.temperature**2 * (self.inter_class_weight * inter + self.intra_class_weight * intra)


def _correlate(x: Any, y: Any, *, axis: int) -> Any:
    """Returns Pearson's correlation along an axis; 0 where one of the two does not vary."""
    x = x - ops.mean(x, axis=axis, keepdims=True)
    y = y - ops.mean(y, axis=axis, keepdims=True)
    variances = ops.sum(ops.square(x), axis=axis) * ops.sum(ops.square(y), axis=axis)
    return ops.sum(x * y, axis=axis) * ops.rsqrt(ops.maximum(variances, _SMALLEST_VARIANCE**2))
