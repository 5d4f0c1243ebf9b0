"""A training in a process of its own, which kills itself where it is told to.

    python tests/components/training/callbacks/resumable.py ARGUMENTS.json

The arguments are those of `train` below.
"""

import json
import logging
import os
import pathlib
import signal
import sys
from typing import Any

import keras

from components.settings.training import TrainingJob
from components.training.callbacks.checkpoints import Checkpoints
from components.training.inputs.training_data import TrainingData
from components.training.job import Destination, train_and_export
from components.training.learner import Supervised


def with_dropout(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """A model with random numbers and with a state of its own."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(num_classes),
        ]
    )


class Killer(logging.Handler):
    """Ends this process as a preemption would, at the first message that starts with a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._text):
            os.kill(os.getpid(), signal.SIGKILL)


def train(
    *,
    job: dict[str, Any],
    data: dict[str, Any],
    transform_graph: str,
    output: str,
    checkpoints: str,
    kill_at: str | None,
) -> None:
    """Trains, writes `output`, and keeps its checkpoints in `checkpoints`."""
    if kill_at:
        logging.getLogger("components.training.callbacks.progress").addHandler(Killer(kill_at))
    train_and_export(
        TrainingJob(**job),
        TrainingData(**data),
        objective=Supervised(),
        transform_graph=transform_graph,
        destination=Destination(
            keras_file=f"{output}/model.keras",
            serving_dir=f"{output}/Format-Serving",
            run_dir=f"{output}/run",
        ),
        checkpoints=Checkpoints(directory=pathlib.Path(checkpoints), identity={"job": "dropout"}),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    train(**json.loads(pathlib.Path(sys.argv[1]).read_text()))
