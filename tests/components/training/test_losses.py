import math

import keras
import numpy as np
import pytest

from components.distiller.objective import KnowledgeDistillation
from components.training.losses import cross_entropy, distillation_loss

RANDOM = np.random.default_rng(0)


def reference_kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """T² KL(teacher ‖ student) in float64, straight from the definition."""

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        shifted = logits / temperature - (logits / temperature).max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    log_p, log_q = log_softmax(teacher.astype(np.float64)), log_softmax(student.astype(np.float64))
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)


def test_distillation_loss_by_hand() -> None:
    # At T = 2 the teacher says (3/4, 1/4) and the student (1/2, 1/2).
    teacher = np.array([[2 * math.log(3), 0.0]], np.float32)
    student = np.array([[0.0, 0.0]], np.float32)

    loss = distillation_loss(student_logits=student, teacher_logits=teacher, temperature=2.0)

    by_hand = 2**2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    np.testing.assert_allclose(loss, [by_hand], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_distillation_loss_equals_float64(temperature: float, scale: float) -> None:
    student, teacher = scale * RANDOM.normal(size=(2, 64, 10)).astype(np.float32)

    loss = distillation_loss(student_logits=student, teacher_logits=teacher, temperature=temperature)

    np.testing.assert_allclose(loss, reference_kl(student, teacher, temperature), rtol=1e-3, atol=1e-4)


def test_distillation_loss_equals_keras_with_a_kl_instance() -> None:
    student, teacher = RANDOM.normal(size=(2, 32, 10)).astype(np.float32)
    theirs = keras.distillation.LogitsDistillation(temperature=3.0, loss=keras.losses.KLDivergence())

    loss = distillation_loss(student_logits=student, teacher_logits=teacher, temperature=3.0)

    assert float(np.mean(loss)) == pytest.approx(float(theirs.compute_loss(teacher, student)), abs=1e-5)


def test_a_student_equal_to_its_teacher_has_no_distillation_loss() -> None:
    logits = RANDOM.normal(size=(8, 5)).astype(np.float32)

    loss = distillation_loss(student_logits=logits, teacher_logits=logits, temperature=4.0)

    np.testing.assert_allclose(loss, np.zeros(8), atol=1e-6)


def test_huge_logits_give_finite_losses() -> None:
    student = np.array([[1e4, -1e4, 0.0]], np.float32)
    teacher = np.array([[-1e4, 1e4, 0.0]], np.float32)

    loss = distillation_loss(student_logits=student, teacher_logits=teacher, temperature=1.0)

    np.testing.assert_allclose(loss, [2e4], rtol=1e-6)


def test_cross_entropy_by_hand() -> None:
    logits = np.array([[math.log(3), 0.0], [0.0, 0.0]], np.float32)

    loss = cross_entropy(logits=logits, labels=np.array([0, 1]))

    np.testing.assert_allclose(loss, [-math.log(0.75), math.log(2)], rtol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_objective_weighs_the_students_own_loss(weight: float) -> None:
    student, teacher = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 0, 1])
    objective = KnowledgeDistillation(temperature=2.0, student_loss_weight=weight)

    loss = float(objective({"label": labels, "teacher_logits": teacher}, student))

    log_softmax = student - np.log(np.exp(student).sum(axis=-1, keepdims=True))
    own = -log_softmax[np.arange(6), labels].mean()
    expected = weight * own + (1 - weight) * reference_kl(student, teacher, 2.0).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
