import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from components.training.learner import Supervised
from components.training.losses import cross_entropy, kl_divergence, standardise_logits

RANDOM = np.random.default_rng(0)


def test_cross_entropy_by_hand() -> None:
    logits = np.array([[math.log(3), 0.0], [0.0, 0.0]], np.float32)

    loss = cross_entropy(logits=logits, labels=np.array([0, 1]))

    np.testing.assert_allclose(loss, [-math.log(0.75), math.log(2)], rtol=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_an_example_without_a_label_has_no_loss_and_no_gradient(label_smoothing: float) -> None:
    logits = tf.constant([[math.log(3), 0.0], [1e4, -1e4], [0.0, math.log(3)]])

    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = cross_entropy(logits=logits, labels=tf.constant([0, -1, -1]), label_smoothing=label_smoothing)

    np.testing.assert_array_equal(loss[1:], [0, 0])
    assert loss[0] > 0.2
    np.testing.assert_array_equal(tape.gradient(loss, logits)[1:], np.zeros((2, 2)))


def test_label_smoothing_by_hand() -> None:
    # Probabilities (3/4, 1/4), target (0.9, 0.1) once 0.2 is spread over two classes.
    logits = np.array([[math.log(3), 0.0]], np.float32)

    loss = cross_entropy(logits=logits, labels=np.array([0]), label_smoothing=0.2)

    np.testing.assert_allclose(loss, [-0.9 * math.log(0.75) - 0.1 * math.log(0.25)], rtol=1e-6)


def test_kl_divergence_by_hand() -> None:
    log_p = np.log(np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    log_q = np.log(np.array([[0.5, 0.5], [0.5, 0.5]], np.float32))

    expected = [0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), 0.0]
    np.testing.assert_allclose(kl_divergence(log_p, log_q), expected, rtol=1e-5, atol=1e-7)


def test_standardised_logits_have_mean_0_and_deviation_1() -> None:
    logits = 50 * RANDOM.normal(size=(8, 10)).astype(np.float32) + 7

    standardised = np.asarray(standardise_logits(logits))

    np.testing.assert_allclose(standardised, scipy.stats.zscore(logits, axis=-1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("logits", [[[1e4, -1e4, 0.0], [0.0, 1e4, -1e4]], [[1e4] * 3] * 2])
def test_huge_logits_give_a_finite_cross_entropy_and_gradient(logits: list[list[float]]) -> None:
    student = tf.constant(logits)

    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = cross_entropy(logits=student, labels=tf.constant([1, 2]), label_smoothing=0.1)

    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, student)).all()


def test_a_mixed_image_has_the_loss_of_both_labels_by_their_shares() -> None:
    logits = np.array([[math.log(3), 0.0]], np.float32)  # Probabilities 3/4 and 1/4.
    targets = {"label": np.array([0]), "mixed_label": np.array([1]), "mixing": np.array([0.6], np.float32)}

    loss = Supervised()(targets, logits)

    assert float(loss) == pytest.approx(-0.6 * math.log(0.75) - 0.4 * math.log(0.25), rel=1e-6)


def test_of_two_mixed_images_only_that_with_a_label_has_a_loss() -> None:
    logits = np.array([[math.log(3), 0.0]] * 2, np.float32)  # Probabilities 3/4 and 1/4.
    targets = {
        "label": np.array([0, -1]),
        "mixed_label": np.array([-1, 1]),
        "mixing": np.array([0.6, 0.7], np.float32),
    }

    loss = Supervised().call(targets, logits)

    np.testing.assert_allclose(loss, [-0.6 * math.log(0.75), -0.3 * math.log(0.25)], rtol=1e-6)
