"""Losses on the logits of a student, on any Keras backend.

Every function takes logits `[batch, num_classes]` and returns one value per example, `[batch]`. Finite
logits, however large, give finite values and gradients.
"""

from typing import Any

import keras
from keras import ops

_SMALLEST_VARIANCE = 1e-12


def cross_entropy(*, logits: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
    """Computes the cross-entropy of logits with labels.

    Args:
      logits: Logits `[batch, num_classes]`.
      labels: Integer labels `[batch]`.
      label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1). Szegedy
        et al., "Rethinking the Inception Architecture for Computer Vision", 2016,
        https://arxiv.org/abs/1512.00567.

    Returns:
      The loss of each example, in nats, `[batch]`.
    """
    labels = ops.cast(labels, "int32")
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if not label_smoothing:
        return loss
    of_all_classes = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
    return (1 - label_smoothing) * loss + label_smoothing * of_all_classes


def distillation_loss(
    *, student_logits: Any, teacher_logits: Any, temperature: float, standardise: bool = False
) -> Any:
    """Computes T² KL(teacher ‖ student) of the distributions softened by the temperature T.

    Scaled by T², its gradient keeps its magnitude when the temperature changes. Hinton, Vinyals and
    Dean, "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531.

    Args:
      student_logits: Logits `[batch, num_classes]`.
      teacher_logits: Logits `[batch, num_classes]`.
      temperature: T, above 0.
      standardise: Whether to standardise both logits first; see `standardise_logits`.

    Returns:
      The loss of each example, in nats times T², `[batch]`.
    """
    teacher_log_probabilities = _soften(teacher_logits, temperature=temperature, standardise=standardise)
    student_log_probabilities = _soften(student_logits, temperature=temperature, standardise=standardise)
    return temperature**2 * _kl_divergence(teacher_log_probabilities, student_log_probabilities)


def decoupled_distillation_loss(
    *,
    student_logits: Any,
    teacher_logits: Any,
    labels: Any,
    temperature: float,
    target_weight: float,
    non_target_weight: float,
    standardise: bool = False,
) -> Any:
    """Computes T² (a TCKD + b NCKD): what the teacher says of the label, and of the other classes.

    TCKD is the divergence between the two-way distributions "the label or not", NCKD that between the
    distributions over the other classes alone. Zhao et al., "Decoupled Knowledge Distillation", 2022,
    https://arxiv.org/abs/2203.08679.

    Args:
      student_logits: Logits `[batch, num_classes]`.
      teacher_logits: Logits `[batch, num_classes]`.
      labels: Integer labels `[batch]`.
      temperature: T, above 0.
      target_weight: a, the paper's alpha.
      non_target_weight: b, the paper's beta.
      standardise: Whether to standardise both logits first; see `standardise_logits`.

    Returns:
      The loss of each example, in nats times T², `[batch]`.
    """
    target = _one_hot(labels, student_logits)
    teacher = _soften(teacher_logits, temperature=temperature, standardise=standardise)
    student = _soften(student_logits, temperature=temperature, standardise=standardise)
    of_target = _kl_divergence(_target_or_not(teacher, target), _target_or_not(student, target))
    of_others = _kl_divergence(_others(teacher, target), _others(student, target))
    return temperature**2 * (target_weight * of_target + non_target_weight * of_others)


def correlation_loss(
    *,
    student_logits: Any,
    teacher_logits: Any,
    temperature: float,
    inter_class_weight: float,
    intra_class_weight: float,
) -> Any:
    """Computes T² (b (1 - r between classes) + c (1 - r within classes)), r Pearson's correlation.

    The first correlates the probabilities of the classes for each example; the second those of the
    examples for each class, which is one number for the batch. Huang et al., "Knowledge Distillation
    from A Stronger Teacher", 2022, https://arxiv.org/abs/2205.10536.

    Args:
      student_logits: Logits `[batch, num_classes]`.
      teacher_logits: Logits `[batch, num_classes]`.
      temperature: T, above 0.
      inter_class_weight: b, the paper's beta.
      intra_class_weight: c, the paper's gamma.

    Returns:
      The loss of each example, `[batch]`.
    """
    teacher = ops.softmax(teacher_logits / temperature, axis=-1)
    student = ops.softmax(student_logits / temperature, axis=-1)
    inter = 1 - _correlate(teacher, student, axis=-1)
    intra = 1 - ops.mean(_correlate(teacher, student, axis=0))
    return temperature**2 * (inter_class_weight * inter + intra_class_weight * intra)


def logits_squared_error(*, student_logits: Any, teacher_logits: Any) -> Any:
    """Computes half the squared distance between the logits.

    Ba and Caruana, "Do Deep Nets Really Need to be Deep?", 2014, https://arxiv.org/abs/1312.6184.

    Args:
      student_logits: Logits `[batch, num_classes]`.
      teacher_logits: Logits `[batch, num_classes]`.

    Returns:
      The loss of each example, `[batch]`.
    """
    return 0.5 * ops.sum(ops.square(student_logits - teacher_logits), axis=-1)


def features_squared_error(*, student_features: Any, teacher_features: Any) -> Any:
    """Computes the mean squared difference between the outputs of two hidden layers.

    Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, https://arxiv.org/abs/1412.6550.

    Args:
      student_features: `[batch, ...]`.
      teacher_features: Of the same shape.

    Returns:
      The mean over the features of each example, `[batch]`.
    """
    squares = ops.square(student_features - teacher_features)
    return ops.mean(squares, axis=tuple(range(1, len(squares.shape))))


def standardise_logits(logits: Any) -> Any:
    """Shifts and scales the logits of each example to mean 0 and standard deviation 1.

    The student then learns the teacher's relations between classes and keeps its own scale. Sun et al.,
    "Logit Standardization in Knowledge Distillation", 2024, https://arxiv.org/abs/2403.01427.

    Args:
      logits: Logits `[batch, num_classes]`.

    Returns:
      Standardised logits `[batch, num_classes]`; all zero where the logits are equal.
    """
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + _SMALLEST_VARIANCE)


def _soften(logits: Any, *, temperature: float, standardise: bool) -> Any:
    """Returns log-probabilities `[batch, num_classes]`."""
    if standardise:
        logits = standardise_logits(logits)
    return ops.log_softmax(logits / temperature, axis=-1)


def _kl_divergence(log_p: Any, log_q: Any) -> Any:
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _one_hot(labels: Any, logits: Any) -> Any:
    dtype = keras.backend.standardize_dtype(logits.dtype)
    return ops.one_hot(ops.cast(labels, "int32"), ops.shape(logits)[-1], dtype=dtype)


def _target_or_not(log_probabilities: Any, target: Any) -> Any:
    """Returns log-probabilities `[batch, 2]` of the label and of all else together."""
    of_target = ops.sum(target * log_probabilities, axis=-1)
    of_others = ops.logsumexp(_without_target(log_probabilities, target), axis=-1)
    return ops.stack([of_target, of_others], axis=-1)


def _others(log_probabilities: Any, target: Any) -> Any:
    """Returns log-probabilities `[batch, num_classes]` given that it is not the label."""
    return ops.log_softmax(_without_target(log_probabilities, target), axis=-1)


def _without_target(log_probabilities: Any, target: Any) -> Any:
    """Makes the label impossible, by a number that outweighs every logit and is still finite."""
    return ops.where(target > 0, -1e9, log_probabilities)


def _correlate(x: Any, y: Any, *, axis: int) -> Any:
    """Returns Pearson's correlation along an axis; 0 where one of the two does not vary."""
    x = x - ops.mean(x, axis=axis, keepdims=True)
    y = y - ops.mean(y, axis=axis, keepdims=True)
    variances = ops.sum(ops.square(x), axis=axis) * ops.sum(ops.square(y), axis=axis)
    return ops.sum(x * y, axis=axis) * ops.rsqrt(ops.maximum(variances, _SMALLEST_VARIANCE**2))
