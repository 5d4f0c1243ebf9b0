"""Kills real trainings, and compares what becomes of them with one that nothing interrupted."""

import concurrent.futures
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


@pytest.fixture(scope="module")
def start(
    tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str], transform_graph: str
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that trains in a process of its own, into `output`, and waits for its end."""
    directory = tmp_path_factory.mktemp("examples")
    digits = load_digits()

    def write(name: str, rows: slice) -> str:
        ids = [str(i) for i in range(rows.start, rows.stop)]
        pixels = (digits.images[rows] * 255 / 16).round()
        return write_examples(directory / name, pixels=pixels, labels=digits.target[rows], ids=ids)

    data = {
        "training_files": [write("training.tfrecord", slice(0, 600))],
        "num_training_examples": 600,
        "validation_files": [write("validation.tfrecord", slice(600, 900))],
        "num_validation_examples": 300,
        "class_names": [str(i) for i in range(10)],
    }

    def run(
        output: pathlib.Path, *, checkpoints: pathlib.Path, kill_at: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        output.mkdir()
        arguments = {
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
            "output": str(output),
            "checkpoints": str(checkpoints),
            "kill_at": kill_at,
        }
        (output / "arguments.json").write_text(json.dumps(arguments))
        return subprocess.run(
            [sys.executable, str(SCRIPT), str(output / "arguments.json")],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


def history_of(output: pathlib.Path) -> dict[str, Any]:
    """Returns the history without the seconds, the one thing that may differ."""
    history = json.loads((output / "run" / "history.json").read_text())
    for epoch in history["epochs"]:
        assert epoch.pop("seconds") > 0
    return history


def test_a_killed_training_ends_with_the_weights_of_one_that_nothing_interrupted(
    start: Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    """It is killed in its fourth epoch, and the checkpoint that followed is left half-written."""
    checkpoints = tmp_path / "checkpoints"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        whole = pool.submit(start, tmp_path / "whole", checkpoints=tmp_path / "others")
        killed = start(tmp_path / "killed", checkpoints=checkpoints, kill_at="Teacher: epoch 4/5")
        assert whole.result().returncode == 0, whole.result().stdout
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    (checkpoint,) = checkpoints.iterdir()
    half = checkpoint.read_bytes()[: checkpoint.stat().st_size // 2]
    checkpoint.with_name(f".{checkpoint.name}.partial").write_bytes(half)

    resumed = start(tmp_path / "resumed", checkpoints=checkpoints)

    assert resumed.returncode == 0, resumed.stdout
    assert "Teacher: goes on from epoch 4," in resumed.stdout
    assert "epoch 3/5" not in resumed.stdout
    history = history_of(tmp_path / "whole")
    assert history["best_epoch"] < 4  # Its weights are in the checkpoint alone.
    assert history_of(tmp_path / "resumed") == history
    expected = keras.saving.load_model(tmp_path / "whole" / "model.keras").weights
    actual = keras.saving.load_model(tmp_path / "resumed" / "model.keras").weights
    assert len(actual) == len(expected) == 8
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not checkpoints.exists()
