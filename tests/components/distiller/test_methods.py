"""The distance of each method: by hand, against float64, and at the edges of float32."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from components.distiller.methods.base import Method
from components.distiller.methods.dist import Dist
from components.distiller.methods.dkd import Dkd
from components.distiller.methods.hint import Hint
from components.distiller.methods.kd import Kd
from components.distiller.methods.logits_mse import LogitsMse
from components.distiller.objective import Distillation

RANDOM = np.random.default_rng(0)


def kd(**settings: Any) -> Kd:
    return Kd(name="student", method="kd", **settings)


def dkd(**settings: Any) -> Dkd:
    defaults = {"temperature": 2.0, "target_weight": 1.5, "non_target_weight": 8.0, "warmup_epochs": 0}
    return Dkd(name="student", method="dkd", **(defaults | settings))


def dist(**settings: Any) -> Dist:
    return Dist(name="student", method="dist", **settings)


def logits_mse() -> LogitsMse:
    return LogitsMse(name="student", method="logits_mse")


def hint(**settings: Any) -> Hint:
    return Hint(name="student", method="hint", teacher_layer="a", student_layer="b", **settings)


def distance(method: Method, *, student: Any, teacher: Any, labels: Any = None, epoch: float = 0.0) -> Any:
    targets = {"teacher_logits": teacher, "label": labels, "epoch": np.float32(epoch)}
    return method.distance(targets, student)


def reference_kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """T² KL(teacher ‖ student) in float64, straight from the definition."""

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        shifted = logits / temperature - (logits / temperature).max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    log_p, log_q = log_softmax(teacher.astype(np.float64)), log_softmax(student.astype(np.float64))
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)


def test_kd_by_hand() -> None:
    # At T = 2 the teacher says (3/4, 1/4) and the student (1/2, 1/2).
    teacher = np.array([[2 * math.log(3), 0.0]], np.float32)
    student = np.array([[0.0, 0.0]], np.float32)

    loss = distance(kd(temperature=2.0), student=student, teacher=teacher)

    by_hand = 2**2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    np.testing.assert_allclose(loss, [by_hand], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_kd_equals_float64(temperature: float, scale: float) -> None:
    student, teacher = scale * RANDOM.normal(size=(2, 64, 10)).astype(np.float32)

    loss = distance(kd(temperature=temperature), student=student, teacher=teacher)

    np.testing.assert_allclose(loss, reference_kl(student, teacher, temperature), rtol=1e-3, atol=1e-4)


def test_kd_equals_keras_with_a_kl_instance() -> None:
    student, teacher = RANDOM.normal(size=(2, 32, 10)).astype(np.float32)
    theirs = keras.distillation.LogitsDistillation(temperature=3.0, loss=keras.losses.KLDivergence())

    loss = distance(kd(temperature=3.0), student=student, teacher=teacher)

    assert float(np.mean(loss)) == pytest.approx(float(theirs.compute_loss(teacher, student)), abs=1e-5)


def test_a_student_equal_to_its_teacher_has_no_kd_loss() -> None:
    logits = RANDOM.normal(size=(8, 5)).astype(np.float32)

    loss = distance(kd(temperature=4.0), student=logits, teacher=logits)

    np.testing.assert_allclose(loss, np.zeros(8), atol=1e-6)


def test_huge_logits_give_finite_losses() -> None:
    student = np.array([[1e4, -1e4, 0.0]], np.float32)
    teacher = np.array([[-1e4, 1e4, 0.0]], np.float32)

    loss = distance(kd(temperature=1.0), student=student, teacher=teacher)

    np.testing.assert_allclose(loss, [2e4], rtol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_objective_weighs_the_students_own_loss(weight: float) -> None:
    student, teacher = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 0, 1])
    objective = Distillation(kd(temperature=2.0, student_loss_weight=weight))

    loss = float(objective({"label": labels, "teacher_logits": teacher}, student))

    log_softmax = student - np.log(np.exp(student).sum(axis=-1, keepdims=True))
    own = -log_softmax[np.arange(6), labels].mean()
    expected = weight * own + (1 - weight) * reference_kl(student, teacher, 2.0).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_only_the_distance_counts_where_there_is_no_label() -> None:
    student, teacher = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, -1, 2, -1, -1, 1])
    weights = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 3.0], np.float32)
    objective = Distillation(kd(temperature=2.0, student_loss_weight=0.3), label_smoothing=0.1)

    loss = float(objective({"label": labels, "teacher_logits": teacher}, student, weights))

    log_softmax = student - np.log(np.exp(student).sum(axis=-1, keepdims=True))
    smoothed = -0.9 * log_softmax[np.arange(6), labels] - 0.1 * log_softmax.mean(axis=-1)
    own = np.where(labels >= 0, smoothed, 0)
    # The sum is divided by the number of all examples, as everywhere.
    expected = (weights * (0.3 * own + 0.7 * reference_kl(student, teacher, 2.0))).sum() / 6
    assert loss == pytest.approx(expected, rel=1e-5)


def test_dkd_by_hand() -> None:
    # At T = 2 the teacher says (1/2, 1/4, 1/4) and the student (1/4, 1/2, 1/4); the label is class 0.
    teacher = 2 * np.log(np.array([[2.0, 1.0, 1.0]], np.float32))
    student = 2 * np.log(np.array([[1.0, 2.0, 1.0]], np.float32))

    loss = distance(dkd(), student=student, teacher=teacher, labels=np.array([0]))

    of_target = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    of_others = 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))
    np.testing.assert_allclose(loss, [4 * (1.5 * of_target + 8 * of_others)], rtol=1e-5)


def test_dkd_equals_float64() -> None:
    student, teacher = 3 * RANDOM.normal(size=(2, 64, 10)).astype(np.float32)
    labels = RANDOM.integers(0, 10, 64)

    loss = distance(dkd(), student=student, teacher=teacher, labels=labels)

    p, q = (scipy.special.softmax(logits.astype(np.float64) / 2, axis=-1) for logits in (teacher, student))
    expected = []
    for p_i, q_i, label in zip(p, q, labels, strict=True):
        others = np.arange(10) != label
        two_way = scipy.stats.entropy([p_i[label], 1 - p_i[label]], [q_i[label], 1 - q_i[label]])
        expected.append(4 * (1.5 * two_way + 8 * scipy.stats.entropy(p_i[others], q_i[others])))
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


def test_dkd_with_the_teachers_own_weight_is_kd() -> None:
    """KL = TCKD + (1 - p_target) NCKD, equation 6 of the paper, for one example."""
    student, teacher = RANDOM.normal(size=(2, 1, 5)).astype(np.float32)
    of_others = 1 - scipy.special.softmax(teacher[0] / 4)[2]
    method = dkd(temperature=4.0, target_weight=1.0, non_target_weight=float(of_others))

    loss = distance(method, student=student, teacher=teacher, labels=np.array([2]))

    plain = distance(kd(temperature=4.0), student=student, teacher=teacher)
    np.testing.assert_allclose(loss, plain, rtol=1e-4)


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)])
def test_dkd_warms_up(epoch: int, share: float) -> None:
    student, teacher = RANDOM.normal(size=(2, 4, 3)).astype(np.float32)
    logits = {"student": student, "teacher": teacher, "labels": np.array([0, 1, 2, 0])}

    loss = distance(dkd(warmup_epochs=4), **logits, epoch=epoch)

    np.testing.assert_allclose(loss, share * np.asarray(distance(dkd(), **logits)), rtol=1e-5)


def test_dist_equals_numpys_correlation() -> None:
    student, teacher = RANDOM.normal(size=(2, 32, 6)).astype(np.float32)
    method = dist(temperature=2.0, inter_class_weight=1.0, intra_class_weight=3.0)

    loss = distance(method, student=student, teacher=teacher)

    p, q = (scipy.special.softmax(logits.astype(np.float64) / 2, axis=-1) for logits in (teacher, student))
    inter = np.array([1 - np.corrcoef(p_i, q_i)[0, 1] for p_i, q_i in zip(p, q, strict=True)])
    intra = np.mean([1 - np.corrcoef(p[:, c], q[:, c])[0, 1] for c in range(6)])
    np.testing.assert_allclose(loss, 4 * (inter + 3 * intra), rtol=1e-3, atol=1e-4)


def test_logits_mse_by_hand() -> None:
    loss = distance(
        logits_mse(),
        student=np.array([[1.0, 2.0]], np.float32),
        teacher=np.array([[4.0, -2.0]], np.float32),
    )

    np.testing.assert_allclose(loss, [0.5 * (3**2 + 4**2)])


@pytest.mark.parametrize("make", [kd, dkd])
def test_standardising_makes_a_method_blind_to_scale_and_shift(make: Callable[..., Method]) -> None:
    student, teacher = RANDOM.normal(size=(2, 8, 10)).astype(np.float32)
    method, labels = make(temperature=2.0, standardise_logits=True), np.arange(8)

    loss = distance(method, student=student, teacher=teacher, labels=labels)
    scaled = distance(method, student=5 * student + 3, teacher=teacher, labels=labels)

    np.testing.assert_allclose(loss, scaled, rtol=1e-3)


METHODS = {
    "kd": kd(temperature=1.0),
    "standardised kd": kd(temperature=1.0, standardise_logits=True),
    "dkd": dkd(),
    "dist": dist(),
    "logits_mse": logits_mse(),
}
HUGE = {
    "opposite": ([[1e4, -1e4, 0.0], [0.0, 1e4, -1e4]], [[-1e4, 1e4, 0.0], [1e4, -1e4, 0.0]]),
    "equal": ([[1e4, -1e4, 0.0], [1e4, 0.0, -1e4]], [[1e4, -1e4, 0.0], [1e4, 0.0, -1e4]]),
    "flat": ([[1e4] * 3] * 2, [[0.0] * 3] * 2),
}


@pytest.mark.parametrize("case", HUGE)
@pytest.mark.parametrize("name", METHODS)
def test_huge_logits_give_finite_losses_and_gradients(name: str, case: str) -> None:
    student, teacher = (tf.constant(logits) for logits in HUGE[case])

    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = distance(METHODS[name], student=student, teacher=teacher, labels=tf.constant([1, 2]))

    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, student)).all()


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dist"])
def test_the_loss_of_a_batch_is_that_of_its_examples(name: str) -> None:
    student, teacher = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 0, 1])

    def loss_of(rows: slice) -> Any:
        return distance(METHODS[name], student=student[rows], teacher=teacher[rows], labels=labels[rows])

    singly = [float(loss_of(slice(i, i + 1))[0]) for i in range(6)]
    np.testing.assert_allclose(loss_of(slice(None)), singly, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_no_loss_without_a_difference(name: str) -> None:
    logits = RANDOM.normal(size=(8, 5)).astype(np.float32)

    loss = distance(METHODS[name], student=logits, teacher=logits, labels=np.zeros(8, int))

    np.testing.assert_allclose(loss, np.zeros(8), atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 5, 2)])
def test_a_hint_takes_the_mean_square_over_all_features(shape: tuple[int, ...]) -> None:
    student, teacher = RANDOM.normal(size=(2, *shape)).astype(np.float32)
    logits = np.zeros((4, 3), np.float32)
    targets = {"teacher_logits": logits, "teacher_features": teacher, "student_features": student}

    loss = hint().distance(targets, logits)

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
    objective = Distillation(hint(temperature=3.0, hint_weight=0.5, student_loss_weight=0.2))

    own = -math.log(math.exp(3) / (math.exp(1) + math.exp(2) + math.exp(3)))
    assert float(objective(targets, logits)) == pytest.approx(0.2 * own + 0.8 * 0.5 * 5, rel=1e-5)


# Of two classes whose logits differ by 1, the probabilities differ by tanh(1 / 2T), that is 1 / 2T for a
# large T; standardised, the logits are -1 and 1. Float32 tells 0.5 from 0.5 + 6e-8.
@pytest.mark.parametrize(
    ("method", "is_told"),
    [
        (kd(temperature=4.0), False),
        (kd(temperature=1e6), False),
        (kd(temperature=1e8), True),
        (dkd(temperature=1e8), True),
        (kd(temperature=1e8, standardise_logits=True), True),
        (hint(temperature=1e8), True),
        (logits_mse(), False),
    ],
)
def test_a_temperature_that_leaves_nothing_of_the_teacher_is_a_problem(method: Method, is_told: bool) -> None:
    problem = method.find_problem(np.array([[0.0, 1.0], [3.0, 2.0], [1.0, 1.0]], np.float32))

    assert (problem is not None) == is_told
    assert not is_told or "temperature 1e+08" in problem
