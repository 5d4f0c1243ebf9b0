"""Optimizers and schedules against numbers that NumPy works out."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.settings.training import TrainingJob
from components.training.inputs.batches import epoch_counter
from components.training.learner import Learner, Supervised
from components.training.loop import Batches, fit
from components.training.optimization import make_optimizer, make_schedule

STEPS = 10  # An epoch has.


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        ("constant", {0: 0.4, 39: 0.4}),
        ({"name": "constant", "warmup_epochs": 0.5}, {0: 0, 1: 0.08, 4: 0.32, 5: 0.4, 39: 0.4}),
        ("cosine", {0: 0.4, 10: 0.2 * (1 + np.cos(np.pi / 4)), 20: 0.2, 40: 0}),
        ({"name": "cosine", "warmup_epochs": 2}, {0: 0, 10: 0.2, 20: 0.4, 30: 0.2, 40: 0}),
        ("one_cycle", {0: 0, 6: 0.2, 12: 0.4, 26: 0.2, 39: 0.4 / 28, 40: 0}),
        ({"name": "one_cycle", "warmup_epochs": 0}, {0: 0.4, 10: 0.3, 40: 0}),
        ({"name": "steps", "milestones": [2, 3]}, {0: 0.4, 19: 0.4, 20: 0.04, 29: 0.04, 30: 0.004}),
        (
            {"name": "steps", "milestones": [2], "factor": 0.5, "warmup_epochs": 1},
            {0: 0, 5: 0.2, 10: 0.4, 19: 0.4, 20: 0.2, 39: 0.2},
        ),
        ({"name": "steps", "milestones": [1], "warmup_epochs": 1}, {9: 0.36, 10: 0.04, 39: 0.04}),
    ],
)
def test_the_learning_rate_of_a_step(
    schedule: Any, points: dict[int, float], make_job: Callable[..., TrainingJob]
) -> None:
    model = make_job(learning_rate=0.4, epochs=4, schedule=schedule).model

    rates = make_schedule(model, steps_per_epoch=STEPS)

    found = {step: float(rates(tf.constant(step, tf.int64))) for step in points}
    assert found == pytest.approx(points, rel=1e-5, abs=1e-7)


def test_weight_decay_leaves_out_biases_and_normalisation(make_job: Callable[..., TrainingJob]) -> None:
    images = keras.Input((4, 3))
    x = keras.layers.MultiHeadAttention(2, 3)(images, images)  # Its biases have two dimensions.
    x = keras.layers.LayerNormalization(axis=[1, 2])(keras.layers.BatchNormalization()(x))
    model = keras.Model(images, keras.layers.Conv1D(2, 2)(x))
    model.set_weights([np.ones(weight.shape) for weight in model.weights])
    recipe = {"optimizer": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.5}, "learning_rate": 0.1}
    settings = make_job(**recipe).model

    optimizer = make_optimizer(
        settings, schedule=make_schedule(settings, steps_per_epoch=1), weights=model.trainable_variables
    )
    optimizer.apply(
        [np.zeros(weight.shape) for weight in model.trainable_variables], model.trainable_variables
    )

    kernels = [weight for weight in model.trainable_variables if weight.name == "kernel"]
    assert len(kernels) == 5
    for weight in model.trainable_variables:
        is_kernel = any(weight is kernel for kernel in kernels)
        np.testing.assert_allclose(weight, 0.95 if is_kernel else 1.0, err_msg=weight.path)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_a_recipe_is_what_numpy_computes(
    tmp_path: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    """Momentum, decay, clipping, schedule and average of a softmax regression, in three epochs of 4 steps."""
    random = np.random.default_rng(3)
    images = random.random((32, 2, 2, 1), dtype=np.float32)
    labels = (images.reshape(32, 4) @ [4, -3, 2, -1] > 1).astype(np.int64)
    first = random.normal(size=(4, 2)).astype(np.float32)
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), dense])
    dense.set_weights([first])
    batches = tf.data.Dataset.from_tensor_slices((images, {"label": labels})).batch(8)

    fit(
        Learner(model=model, objective=Supervised()),
        make_job(
            shape=(2, 2, 1),
            epochs=3,
            learning_rate=2.0,
            optimizer={"name": "sgd", "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
            schedule={"name": "cosine", "warmup_epochs": 1},
            clip_norm=0.2,
            ema_decay=0.7,
        ),
        batches=Batches(training=batches, validation=batches, epoch=epoch_counter()),
        run_dir=tmp_path,
    )

    weights, velocity, average = first.astype(float), np.zeros((4, 2)), np.zeros((4, 2))
    pixels, truth = images.reshape(4, 8, 4).astype(float), np.eye(2)[labels].reshape(4, 8, 2)
    averages, clipped = [], 0
    for step in range(12):
        rate = 2 * step / 4 if step < 4 else 1 + np.cos(np.pi * (step - 4) / 8)
        x, y = pixels[step % 4], truth[step % 4]
        gradient = x.T @ (softmax(x @ weights) - y) / 8
        norm = np.linalg.norm(gradient)
        clipped += norm > 0.2
        gradient *= min(1, 0.2 / norm)
        weights = weights - 0.01 * rate * weights
        velocity = 0.8 * velocity - rate * gradient
        weights = weights + 0.8 * velocity - rate * gradient
        average = weights if step == 0 else 0.7 * average + 0.3 * weights
        averages.append(average)
    history = json.loads((tmp_path / "history.json").read_text())
    assert 0 < clipped < 12
    np.testing.assert_allclose(model.get_weights()[0], averages[4 * history["best_epoch"] - 1], rtol=1e-4)
    for entry, weights in zip(history["epochs"], averages[3::4], strict=True):
        likelihoods = (softmax(pixels @ weights) * truth).sum(axis=-1)
        assert entry["val_loss"] == pytest.approx(-np.log(likelihoods).mean(), rel=1e-4)
    # That of the last step of each epoch.
    expected = [1.5, 1 + np.cos(np.pi * 3 / 8), 1 + np.cos(np.pi * 7 / 8)]
    assert [entry["learning_rate"] for entry in history["epochs"]] == pytest.approx(expected, rel=1e-4)
