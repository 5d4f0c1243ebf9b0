import keras
import numpy as np
import tensorflow as tf

from components.training.optimizer import FusedAdam

SHAPE = (7, 3)
STEPS = 20


def gradients() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(STEPS, *SHAPE)).astype(np.float32)


def adam_in_float64(weights: np.ndarray, *, learning_rate: float) -> np.ndarray:
    """Algorithm 1 of Kingma and Ba, 2015, with epsilon as in the efficient form of their section 2."""
    first = second = np.zeros(SHAPE)
    for step, gradient in enumerate(gradients().astype(np.float64), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights = weights - rate * first / (np.sqrt(second) + 1e-7)
    return weights


def train(optimizer: keras.optimizers.Optimizer) -> np.ndarray:
    variable = keras.Variable(np.ones(SHAPE, np.float32))

    @tf.function
    def step(gradient: tf.Tensor) -> None:
        optimizer.apply([gradient], [variable])

    optimizer.build([variable])
    for gradient in gradients():
        step(tf.constant(gradient))
    return variable.numpy()


def test_it_is_adam():
    expected = adam_in_float64(np.ones(SHAPE), learning_rate=0.01)
    np.testing.assert_allclose(train(FusedAdam(0.01)), expected, rtol=1e-5)


def test_it_equals_that_of_keras():
    np.testing.assert_allclose(train(FusedAdam(0.01)), train(keras.optimizers.Adam(0.01)), rtol=1e-5)
