"""Kills a real training, and compares what becomes of it with one that nothing interrupted."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import components

SCRIPT = pathlib.Path(__file__).with_name("resumable.py")
REPOSITORY = pathlib.Path(components.__file__).parents[1]


@pytest.fixture
def arguments(
    tmp_path: pathlib.Path, write_examples: Callable[..., str], transform_graph: str
) -> Callable[..., dict[str, Any]]:
    """A function that returns the arguments of a training into the directory `output`."""
    digits = load_digits()

    def write(name: str, rows: slice) -> str:
        ids = [str(i) for i in range(rows.start, rows.stop)]
        pixels = (digits.images[rows] * 255 / 16).round()
        return write_examples(tmp_path / name, pixels=pixels, labels=digits.target[rows], ids=ids)

    data = {
        "training_files": [write("training.tfrecord", slice(0, 600))],
        "num_training_examples": 600,
        "validation_files": [write("validation.tfrecord", slice(600, 900))],
        "num_validation_examples": 300,
        "class_names": [str(i) for i in range(10)],
    }

    def make(output: str, *, checkpoints: pathlib.Path, kill_at: str | None = None) -> dict[str, Any]:
        (tmp_path / output).mkdir()
        return {
            "job": {
                "name": "Teacher",
                "model": {
                    "architecture": "resumable:with_dropout",
                    "epochs": 5,
                    "batch_size": 32,
                    "learning_rate": 0.2,
                },
                "image": {"height": 8, "width": 8, "channels": 1},
                "hardware": {"precision": "mixed_float16"},  # Its loss scale is one more thing to restore.
                "seed": 4,
            },
            "data": data,
            "transform_graph": transform_graph,
            "output": str(tmp_path / output),
            "checkpoints": str(checkpoints),
            "kill_at": kill_at,
        }

    return make


def history_of(output: pathlib.Path) -> dict[str, Any]:
    """Returns the history without the seconds, the one thing that may differ."""
    history = json.loads((output / "run" / "history.json").read_text())
    for epoch in history["epochs"]:
        assert epoch.pop("seconds") > 0
    return history


def test_a_killed_training_ends_with_the_weights_of_one_that_nothing_interrupted(
    arguments: Callable[..., dict[str, Any]],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is killed in its fourth epoch, and goes on in another process beside a half-written checkpoint."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from resumable import train

    caplog.set_level("INFO", logger="components")
    checkpoints = tmp_path / "checkpoints"
    to_be_killed = arguments("killed", checkpoints=checkpoints, kill_at="Teacher: epoch 4/5")
    (tmp_path / "arguments.json").write_text(json.dumps(to_be_killed))
    killed = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "arguments.json")],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    (checkpoint,) = checkpoints.iterdir()
    half = checkpoint.read_bytes()[: checkpoint.stat().st_size // 2]
    checkpoint.with_name(f".{checkpoint.name}.partial").write_bytes(half)

    train(**arguments("resumed", checkpoints=checkpoints))

    assert any(message.startswith("Teacher: goes on from epoch 4,") for message in caplog.messages)
    assert not any("epoch 3/5" in message for message in caplog.messages)
    assert not checkpoints.exists()
    train(**arguments("whole", checkpoints=tmp_path / "others"))
    history = history_of(tmp_path / "whole")
    assert history["best_epoch"] < 4  # Its weights are in the checkpoint alone.
    assert history_of(tmp_path / "resumed") == history
    expected = keras.saving.load_model(tmp_path / "whole" / "model.keras").weights
    actual = keras.saving.load_model(tmp_path / "resumed" / "model.keras").weights
    assert len(actual) == len(expected) == 8
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)
