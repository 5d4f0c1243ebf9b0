"""Decoupled knowledge distillation."""

from typing import Any, Literal

from etils import epy

from components.distiller.methods.base import SoftMethod
from components.settings.base import Fraction, NonNegativeFloat, NonNegativeInt

with epy.lazy_imports():
    import keras
    from keras import ops

    from components.training import losses


class Dkd(SoftMethod):
    """Decoupled knowledge distillation, Zhao et al. 2022, https://arxiv.org/abs/2203.08679.

    `target_weight` and `non_target_weight` are the paper's alpha and beta; the distance grows in equal steps
    to its full weight over the first `warmup_epochs`. The defaults are the paper's for CIFAR-100, where the
    student's own loss and the distance to the teacher count alike. `standardise_logits` compares standardised
    logits: Sun et al. 2024, https://arxiv.org/abs/2403.01427.
    """

    needs_labels = True

    method: Literal["dkd"]
    student_loss_weight: Fraction = 0.5
    target_weight: NonNegativeFloat = 1.0
    non_target_weight: NonNegativeFloat = 8.0
    warmup_epochs: NonNegativeInt = 20
    standardise_logits: bool = False

    def soften(self, logits: Any) -> Any:
        """Returns log-probabilities, of standardised logits if so set."""
        return super().soften(losses.standardise_logits(logits) if self.standardise_logits else logits)

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns T² (a TCKD + b NCKD), in nats times T², `[batch]`.

        TCKD is the divergence between the two-way distributions "the label or not", NCKD that between the
        distributions over the other classes alone.
        """
        label = _one_hot(targets["label"], logits)
        teacher, student = self.soften(targets["teacher_logits"]), self.soften(logits)
        of_label = losses.kl_divergence(_label_or_not(teacher, label), _label_or_not(student, label))
        of_others = losses.kl_divergence(_others(teacher, label), _others(student, label))
        loss = self.temperature**2 * (self.target_weight * of_label + self.non_target_weight * of_others)
        return loss * ops.minimum((targets["epoch"] + 1) / max(self.warmup_epochs, 1), 1.0)


def _one_hot(labels: Any, logits: Any) -> Any:
    dtype = keras.backend.standardize_dtype(logits.dtype)
    return ops.one_hot(ops.cast(labels, "int32"), ops.shape(logits)[-1], dtype=dtype)


def _label_or_not(log_probabilities: Any, label: Any) -> Any:
    """Returns log-probabilities `[batch, 2]` of the label and of all else together."""
    of_label = ops.sum(label * log_probabilities, axis=-1)
    of_others = ops.logsumexp(_without_label(log_probabilities, label), axis=-1)
    return ops.stack([of_label, of_others], axis=-1)


def _others(log_probabilities: Any, label: Any) -> Any:
    """Returns log-probabilities `[batch, num_classes]` given that it is not the label."""
    return ops.log_softmax(_without_label(log_probabilities, label), axis=-1)


def _without_label(log_probabilities: Any, label: Any) -> Any:
    """Makes the label impossible, by a number that outweighs every logit and is still finite."""
    return ops.where(label > 0, -1e9, log_probabilities)
