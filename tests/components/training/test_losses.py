import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from components.distiller.objective import Distillation, dkd, hint, kd
from components.training.learner import Supervised
from components.training.losses import (
    correlation_loss,
    cross_entropy,
    decoupled_distillation_loss,
    distillation_loss,
    features_squared_error,
    logits_squared_error,
    standardise_logits,
)

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
    objective = Distillation(distance=kd(temperature=2.0), student_loss_weight=weight)

    loss = float(objective({"label": labels, "teacher_logits": teacher}, student))

    log_softmax = student - np.log(np.exp(student).sum(axis=-1, keepdims=True))
    own = -log_softmax[np.arange(6), labels].mean()
    expected = weight * own + (1 - weight) * reference_kl(student, teacher, 2.0).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_label_smoothing_by_hand() -> None:
    # Probabilities (3/4, 1/4), target (0.9, 0.1) once 0.2 is spread over two classes.
    logits = np.array([[math.log(3), 0.0]], np.float32)

    loss = cross_entropy(logits=logits, labels=np.array([0]), label_smoothing=0.2)

    np.testing.assert_allclose(loss, [-0.9 * math.log(0.75) - 0.1 * math.log(0.25)], rtol=1e-6)


DKD = {"temperature": 2.0, "target_weight": 1.5, "non_target_weight": 8.0}


def test_decoupled_distillation_by_hand() -> None:
    # At T = 2 the teacher says (1/2, 1/4, 1/4) and the student (1/4, 1/2, 1/4); the label is class 0.
    teacher = 2 * np.log(np.array([[2.0, 1.0, 1.0]], np.float32))
    student = 2 * np.log(np.array([[1.0, 2.0, 1.0]], np.float32))

    loss = decoupled_distillation_loss(
        student_logits=student, teacher_logits=teacher, labels=np.array([0]), **DKD
    )

    of_target = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    of_others = 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))
    np.testing.assert_allclose(loss, [4 * (1.5 * of_target + 8 * of_others)], rtol=1e-5)


def test_decoupled_distillation_equals_float64() -> None:
    student, teacher = 3 * RANDOM.normal(size=(2, 64, 10)).astype(np.float32)
    labels = RANDOM.integers(0, 10, 64)

    loss = decoupled_distillation_loss(student_logits=student, teacher_logits=teacher, labels=labels, **DKD)

    p, q = (scipy.special.softmax(logits.astype(np.float64) / 2, axis=-1) for logits in (teacher, student))
    expected = []
    for p_i, q_i, label in zip(p, q, labels, strict=True):
        others = np.arange(10) != label
        two_way = scipy.stats.entropy([p_i[label], 1 - p_i[label]], [q_i[label], 1 - q_i[label]])
        expected.append(4 * (1.5 * two_way + 8 * scipy.stats.entropy(p_i[others], q_i[others])))
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


def test_decoupling_with_the_teachers_own_weight_is_plain_distillation() -> None:
    """KL = TCKD + (1 - p_target) NCKD, equation 6 of the paper, for one example."""
    student, teacher = RANDOM.normal(size=(2, 1, 5)).astype(np.float32)
    of_others = 1 - scipy.special.softmax(teacher[0] / 4)[2]

    loss = decoupled_distillation_loss(
        student_logits=student,
        teacher_logits=teacher,
        labels=np.array([2]),
        temperature=4.0,
        target_weight=1.0,
        non_target_weight=float(of_others),
    )

    plain = distillation_loss(student_logits=student, teacher_logits=teacher, temperature=4.0)
    np.testing.assert_allclose(loss, plain, rtol=1e-4)


def test_correlation_loss_equals_numpys_correlation() -> None:
    student, teacher = RANDOM.normal(size=(2, 32, 6)).astype(np.float32)

    loss = correlation_loss(
        student_logits=student,
        teacher_logits=teacher,
        temperature=2.0,
        inter_class_weight=1.0,
        intra_class_weight=3.0,
    )

    p, q = (scipy.special.softmax(logits.astype(np.float64) / 2, axis=-1) for logits in (teacher, student))
    inter = np.array([1 - np.corrcoef(p_i, q_i)[0, 1] for p_i, q_i in zip(p, q, strict=True)])
    intra = np.mean([1 - np.corrcoef(p[:, c], q[:, c])[0, 1] for c in range(6)])
    np.testing.assert_allclose(loss, 4 * (inter + 3 * intra), rtol=1e-3, atol=1e-4)


def test_squared_error_by_hand() -> None:
    loss = logits_squared_error(
        student_logits=np.array([[1.0, 2.0]], np.float32), teacher_logits=np.array([[4.0, -2.0]], np.float32)
    )

    np.testing.assert_allclose(loss, [0.5 * (3**2 + 4**2)])


def test_standardised_logits_have_mean_0_and_deviation_1() -> None:
    logits = 50 * RANDOM.normal(size=(8, 10)).astype(np.float32) + 7

    standardised = np.asarray(standardise_logits(logits))

    np.testing.assert_allclose(standardised, scipy.stats.zscore(logits, axis=-1), rtol=1e-3, atol=1e-4)


def test_standardising_makes_distillation_blind_to_scale_and_shift() -> None:
    student, teacher = RANDOM.normal(size=(2, 8, 10)).astype(np.float32)
    arguments = {"temperature": 2.0, "standardise": True}

    loss = distillation_loss(student_logits=student, teacher_logits=teacher, **arguments)
    scaled = distillation_loss(student_logits=5 * student + 3, teacher_logits=teacher, **arguments)

    np.testing.assert_allclose(loss, scaled, rtol=1e-3)


LOSSES = {
    "kd": lambda s, t, y: distillation_loss(student_logits=s, teacher_logits=t, temperature=1.0),
    "standardised kd": lambda s, t, y: distillation_loss(
        student_logits=s, teacher_logits=t, temperature=1.0, standardise=True
    ),
    "dkd": lambda s, t, y: decoupled_distillation_loss(student_logits=s, teacher_logits=t, labels=y, **DKD),
    "dist": lambda s, t, y: correlation_loss(
        student_logits=s, teacher_logits=t, temperature=1.0, inter_class_weight=1.0, intra_class_weight=1.0
    ),
    "logits_mse": lambda s, t, y: logits_squared_error(student_logits=s, teacher_logits=t),
    "cross_entropy": lambda s, t, y: cross_entropy(logits=s, labels=y, label_smoothing=0.1),
}
HUGE = {
    "opposite": ([[1e4, -1e4, 0.0], [0.0, 1e4, -1e4]], [[-1e4, 1e4, 0.0], [1e4, -1e4, 0.0]]),
    "equal": ([[1e4, -1e4, 0.0], [1e4, 0.0, -1e4]], [[1e4, -1e4, 0.0], [1e4, 0.0, -1e4]]),
    "flat": ([[1e4] * 3] * 2, [[0.0] * 3] * 2),
}


@pytest.mark.parametrize("case", HUGE)
@pytest.mark.parametrize("name", LOSSES)
def test_huge_logits_give_finite_losses_and_gradients(name: str, case: str) -> None:
    student, teacher = (tf.constant(logits) for logits in HUGE[case])

    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = LOSSES[name](student, teacher, tf.constant([1, 2]))

    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, student)).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("dist", "cross_entropy")])
def test_the_loss_of_a_batch_is_that_of_its_examples(name: str) -> None:
    student, teacher = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 0, 1])

    batch = LOSSES[name](student, teacher, labels)

    singly = [float(LOSSES[name](student[[i]], teacher[[i]], labels[[i]])[0]) for i in range(6)]
    np.testing.assert_allclose(batch, singly, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "cross_entropy"])
def test_no_loss_without_a_difference(name: str) -> None:
    logits = RANDOM.normal(size=(8, 5)).astype(np.float32)

    np.testing.assert_allclose(LOSSES[name](logits, logits, np.zeros(8, int)), np.zeros(8), atol=1e-5)


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)])
def test_decoupled_distillation_warms_up(epoch: int, share: float) -> None:
    student, teacher = RANDOM.normal(size=(2, 4, 3)).astype(np.float32)
    targets = {"label": np.array([0, 1, 2, 0]), "teacher_logits": teacher, "epoch": np.float32(epoch)}

    loss = dkd(**DKD, warmup_epochs=4)(targets, student)

    full = decoupled_distillation_loss(
        student_logits=student, teacher_logits=teacher, labels=targets["label"], **DKD
    )
    np.testing.assert_allclose(loss, share * np.asarray(full), rtol=1e-5)


def test_a_mixed_image_has_the_loss_of_both_labels_by_their_shares() -> None:
    logits = np.array([[math.log(3), 0.0]], np.float32)  # Probabilities 3/4 and 1/4.
    targets = {"label": np.array([0]), "mixed_label": np.array([1]), "mixing": np.array([0.6], np.float32)}

    loss = Supervised()(targets, logits)

    assert float(loss) == pytest.approx(-0.6 * math.log(0.75) - 0.4 * math.log(0.25), rel=1e-6)


@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 5, 2)])
def test_features_squared_error_equals_float64(shape: tuple[int, ...]) -> None:
    student, teacher = RANDOM.normal(size=(2, *shape)).astype(np.float32)

    loss = features_squared_error(student_features=student, teacher_features=teacher)

    expected = [np.mean((s.astype(np.float64) - t) ** 2) for s, t in zip(student, teacher, strict=True)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_a_hint_adds_the_weighted_distance_of_the_features_to_kd() -> None:
    # The logits agree; the features differ by 1 and by 3, so that the mean square is 5.
    logits = np.array([[1.0, 2.0, 3.0]], np.float32)
    targets = {
        "label": np.array([2]),
        "teacher_logits": logits,
        "teacher_features": np.array([[1.0, 4.0]], np.float32),
        "student_features": np.array([[2.0, 1.0]], np.float32),
    }
    objective = Distillation(distance=hint(temperature=3.0, hint_weight=0.5), student_loss_weight=0.2)

    own = -math.log(math.exp(3) / (math.exp(1) + math.exp(2) + math.exp(3)))
    assert float(objective(targets, logits)) == pytest.approx(0.2 * own + 0.8 * 0.5 * 5, rel=1e-5)
