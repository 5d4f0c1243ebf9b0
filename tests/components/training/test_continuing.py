"""Trains a student further that starts from a file."""

import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from components.errors import InputError
from components.settings.models import ContinuedModel
from components.training.callbacks.divergence import DivergenceError

SHAPE = (4, 4, 1)


def small(units: int, *end: keras.Layer) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu", name="hidden"),
            keras.layers.BatchNormalization(name="normalization"),
            keras.layers.Dense(units, name="last"),
            *end,
        ]
    )


@pytest.fixture
def train(tmp_path: pathlib.Path, train_on_noise: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """A function that trains a file further, and returns the model."""

    def run(
        model: keras.Model, *, name: str = "Scratch", distilled: bool = False, **settings: Any
    ) -> keras.Model:
        model.save(tmp_path / "start.keras")
        values = {"from": str(tmp_path / "start.keras"), "epochs": 1, "batch_size": 8, "learning_rate": 0.01}
        return train_on_noise(
            ContinuedModel(**(values | settings)), shape=SHAPE, name=name, distilled=distilled
        )

    return run


def epochs_in(history: pathlib.Path) -> int:
    return len(json.loads(history.read_text())["epochs"])


@pytest.mark.parametrize("units", [2, 7])
def test_scratch_is_trained_as_a_student_distilled_from_the_labels_alone(
    units: int,
    train: Callable[..., keras.Model],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both start from the same file and, for other classes, the same new layer; they see the same batches."""
    caplog.set_level(logging.INFO)
    student = small(units)

    scratch = train(student)
    distilled = train(student, name="Distiller", distilled=True)

    for found, other in zip(scratch.get_weights(), distilled.get_weights(), strict=True):
        np.testing.assert_array_equal(found, other)
    # All is trained, by small steps from the file's weights; but BatchNormalization under a new layer.
    has_new_layer = units == 7
    for layer in student.layers[1:3]:
        for found, before in zip(
            scratch.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
        ):
            is_kept = has_new_layer and layer.name == "normalization"
            assert np.array_equal(found, before) == is_kept
            assert np.abs(found - before).max() < 0.1
    assert epochs_in(tmp_path / "Scratch/history.json") == 1
    assert (tmp_path / "Scratch/head").exists() == has_new_layer
    if has_new_layer:
        assert epochs_in(tmp_path / "Scratch/head/history.json") == 1
    message = (
        "has a new last layer for 2 classes in place of that for 7; epochs in which it is trained alone: 1"
    )
    assert [record.getMessage() for record in caplog.records if hasattr(record, "told")] == (
        [f"Scratch: {message}", f"Distiller: {message}"] if has_new_layer else []
    )


def test_the_files_own_last_layer_may_be_trained_alone_first(
    train: Callable[..., keras.Model], tmp_path: pathlib.Path
) -> None:
    student = small(2)

    # In the epoch of the whole, nothing moves by more than a float32 shows.
    trained = train(student, head_epochs=2, learning_rate=1e-30)

    assert epochs_in(tmp_path / "Scratch/head/history.json") == 2
    for name in ("hidden", "last"):
        moved = np.abs(trained.get_layer(name).get_weights()[0] - student.get_layer(name).get_weights()[0])
        assert (moved.max() > 1e-4) == (name == "last")


def test_what_has_no_last_layer_to_train_alone_is_refused(train: Callable[..., keras.Model]) -> None:
    with pytest.raises(InputError, match=r"^student.head_epochs: .* does not end in a keras.layers.Dense"):
        train(small(2, keras.layers.LeakyReLU()), head_epochs=1)


def test_where_the_last_layer_alone_diverges_the_training_has_no_epochs(
    train: Callable[..., keras.Model], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(DivergenceError, match=r"^The loss of Scratch became (inf|nan) in epoch 1, step \d"):
        train(small(2), head_epochs=1, head_learning_rate=1e30, optimizer={"name": "sgd"})

    assert epochs_in(tmp_path / "Scratch/history.json") == 0
