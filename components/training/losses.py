"""Losses between the logits of a student and of its teacher, on any Keras backend.

Every function returns one value per example.
"""

from typing import Any

import keras
from keras import ops


def distillation_loss(*, student_logits: Any, teacher_logits: Any, temperature: float) -> Any:
    """Computes T² KL(teacher ‖ student) of the distributions softened by the temperature T.

    Scaled by T², its gradient keeps its magnitude when the temperature changes. Hinton, Vinyals and
    Dean, "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531.

    Args:
      student_logits: Logits `[batch, num_classes]`.
      teacher_logits: Logits `[batch, num_classes]`.
      temperature: T, above 0.

    Returns:
      The loss of each example, in nats times T², `[batch]`.
    """
    teacher_log_probabilities = ops.log_softmax(teacher_logits / temperature, axis=-1)
    student_log_probabilities = ops.log_softmax(student_logits / temperature, axis=-1)
    difference = teacher_log_probabilities - student_log_probabilities
    return temperature**2 * ops.sum(ops.exp(teacher_log_probabilities) * difference, axis=-1)


def cross_entropy(*, logits: Any, labels: Any) -> Any:
    """Computes the cross-entropy of logits `[batch, num_classes]` with integer labels `[batch]`.

    Returns:
      The loss of each example, in nats, `[batch]`.
    """
    return keras.losses.sparse_categorical_crossentropy(ops.cast(labels, "int32"), logits, from_logits=True)
