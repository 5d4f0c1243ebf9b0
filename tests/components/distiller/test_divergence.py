"""Variants that diverge for real, beside the same trainings done in NumPy."""

import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from components.distiller import executor
from components.distiller.methods.base import Method
from components.distiller.methods.logits_mse import LogitsMse
from components.errors import InputError
from components.models.building import load_model
from components.models.digits import digits_student
from components.settings.models import ImageSettings, ModelSettings
from components.settings.optimization import Sgd
from components.settings.training import HardwareSettings, TrainingJob
from components.training.callbacks.checkpoints import Checkpoints

EPOCHS = 16
RATE = 1000.0


class Bench(NamedTuple):
    """A Distiller on 24 labelled images, which are one batch, and what it is given."""

    run: Callable[..., pathlib.Path]
    given: Any
    checkpoints: pathlib.Path


@pytest.fixture
def bench(
    tmp_path: pathlib.Path,
    image: ImageSettings,
    give: Callable[..., Any],
    run_distiller: Callable[..., pathlib.Path],
) -> Bench:
    given = give(stored=["train"])
    job = TrainingJob(
        name="student",
        model=ModelSettings(
            architecture="digits_student",
            epochs=EPOCHS,
            batch_size=24,
            learning_rate=RATE,
            optimizer=Sgd(name="sgd", momentum=0, nesterov=False),
        ),
        image=image,
        hardware=HardwareSettings(),
        seed=3,
        checkpoint_directory=str(tmp_path / "checkpoints"),
    )

    def run(attempt: str, weight: float, **parameters: Any) -> pathlib.Path:
        return run_distiller(given, job, matching(weight), attempt=attempt, **parameters)

    return Bench(run, given, tmp_path / "checkpoints" / "student")


def matching(weight: float) -> Method:
    """Each step multiplies the distance of a bias to the teacher's by 1 - RATE * (1 - weight)."""
    return LogitsMse(name=name_of(weight), method="logits_mse", student_loss_weight=weight)


def name_of(weight: float) -> str:
    return f"s-w{weight:g}".replace(".", "-")


def variants(*weights: float) -> str:
    return json.dumps({name_of(weight): {"student_loss_weight": weight} for weight in weights})


@np.errstate(all="ignore")
def losses_by_hand(given: Any, weight: float) -> list[float]:
    """The loss of each epoch, of one step each, by the formulas of two layers and of gradient descent."""
    keras.utils.set_random_seed(3)
    w, b, v, c = map(np.array, digits_student((8, 8, 1), 2).get_weights())
    x = given.images("train").reshape(24, 64).astype(np.float32)
    t, y = np.array(given.teacher(given.images("train"))), np.eye(2, dtype=np.float32)[np.arange(24) % 2]
    losses = []
    for _ in range(EPOCHS):
        h = np.maximum(x @ w + b, 0)
        z = h @ v + c
        shifted = z - z.max(axis=1, keepdims=True)
        log_q = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        distance = 0.5 * ((z - t) ** 2).sum(axis=1)
        losses.append(float((weight * -(y * log_q).sum(axis=1) + (1 - weight) * distance).mean()))
        dz = (weight * (np.exp(log_q) - y) + (1 - weight) * (z - t)) / np.float32(24)
        dh = (dz @ v.T) * (h > 0)
        v, c = v - RATE * h.T @ dz, c - RATE * dz.sum(axis=0)
        w, b = w - RATE * x.T @ dh, b - RATE * dh.sum(axis=0)
    return losses


def read(path: pathlib.Path) -> Any:
    return json.loads(path.read_text())


def test_a_variant_of_its_own_node_leaves_a_note_of_its_divergence(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    expected = losses_by_hand(bench.given, 0.5)
    assert np.isfinite(expected[:6]).all()
    assert not np.isfinite(expected[6])

    run = bench.run("diverged", 0.5, may_diverge=1)

    note = read(run / "model" / "divergence.json")
    assert note["epoch"] == 7
    assert note["problem"].startswith("The loss of student became inf in epoch 7, step 1; lower its")
    assert [path.name for path in (run / "model").iterdir()] == ["divergence.json"]
    history = read(run / "model_run" / "history.json")
    np.testing.assert_allclose([each["loss"] for each in history["epochs"]], expected[:6], rtol=1e-3)
    assert not bench.checkpoints.exists()
    assert [record.told for record in caplog.records if record.levelno == logging.WARNING] == [
        "diverged in epoch 7, and is left out of the search"
    ]


def test_a_student_that_is_no_variant_ends_the_run(bench: Bench, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="The loss of student became inf in epoch 7, step 1; lower its"):
        bench.run("student", 0.5)

    assert not list((tmp_path / "student").glob("model/*"))


def test_with_halving_a_variant_that_diverges_loses(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert np.isfinite(losses_by_hand(bench.given, 0)).sum() == 5

    run = bench.run("search", 0, variants=variants(0, 0.5, 0.999))

    tried = read(run / "model_run" / "search.json")["variants"]
    assert [each["settings"]["student_loss_weight"] for each in tried] == [0, 0.5, 0.999]
    assert [each["divergence"] and each["divergence"]["epoch"] for each in tried] == [6, 7, None]
    assert [len(each["history"]["epochs"]) for each in tried] == [5, 6, EPOCHS]
    assert read(run / "model_run" / "history.json") == tried[2]["history"]
    # Of its own node it leaves a model and no note.
    alone = bench.run("alone", 0.999, may_diverge=1)
    assert (alone / "model" / "Format-Serving" / "saved_model.pb").is_file()
    assert not (alone / "model" / "divergence.json").exists()
    mine, others = (load_model(str(each / "model" / "model.keras")) for each in (run, alone))
    for one, other in zip(mine.get_weights(), others.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "goes on without s-w0, which diverged in epoch 6" in [
        getattr(record, "told", None) for record in caplog.records
    ]


def test_a_search_that_was_killed_finds_the_same_divergences_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(executor, "write_trials", _die)
        patched.setattr(Checkpoints, "remove", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            bench.run("killed", 0, variants=variants(0, 0.999))
    kept = {path.stem for path in bench.checkpoints.iterdir()}
    assert kept == {"s-w0", "s-w0-999"}

    again = bench.run("again", 0, variants=variants(0, 0.999))

    first, second = read(again / "model_run" / "search.json")["variants"]
    assert (first["divergence"]["epoch"], len(first["history"]["epochs"])) == (6, 5)
    assert (second["divergence"], len(second["history"]["epochs"])) == (None, EPOCHS)


def test_a_search_of_which_all_diverge_ends_the_run(bench: Bench, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError) as caught:
        bench.run("search", 0, variants=variants(0.5, 0))

    assert str(caught.value) == (
        "Each of the 2 variants of student diverged; of the first: The loss of s-w0-5 became inf in epoch 7, "
        "step 1; lower its learning_rate, or look for broken images."
    )
    assert not list((tmp_path / "search").glob("model/*"))


def _die(*_: object) -> None:
    raise KeyboardInterrupt
