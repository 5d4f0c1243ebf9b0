"""What losses on logits are made of, on any Keras backend.

Finite logits, however large, give finite values and gradients.
"""

from typing import Any

import keras
from keras import ops

_SMALLEST_VARIANCE = 1e-12


def cross_entropy(*, logits: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
    """Computes the cross-entropy of logits with labels.

    Args:
      logits: Logits `[batch, num_classes]`.
      labels: Integer labels `[batch]`, below 0 where there is none.
      label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1). Szegedy
        et al., "Rethinking the Inception Architecture for Computer Vision", 2016,
        https://arxiv.org/abs/1512.00567.

    Returns:
      The loss of each example, in nats, `[batch]`; 0 where there is no label.
    """
    any_label = ops.maximum(ops.cast(labels, "int32"), 0)
    loss = keras.losses.sparse_categorical_crossentropy(any_label, logits, from_logits=True)
    if label_smoothing:
        of_all_classes = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * of_all_classes
    return ops.where(has_label(labels), loss, 0.0)


def has_label(labels: Any) -> Any:
    """Tells which examples have a label, booleans `[batch]`.

    Args:
      labels: Integer labels `[batch]`, below 0 where there is none.
    """
    return labels >= 0


def kl_divergence(log_p: Any, log_q: Any) -> Any:
    """Computes KL(p ‖ q).

    Args:
      log_p: Log-probabilities `[batch, num_classes]`.
      log_q: Log-probabilities `[batch, num_classes]`.

    Returns:
      The divergence of each example, in nats, `[batch]`.
    """
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


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
