"""The history of a training, as a file that later nodes read."""

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from components.layout import HISTORY_FILE
from components.storage.files import read_json, write_json
from components.storage.uri import join
from components.training.callbacks.best_epoch import index_of_best


class HistoryRecorder(keras.callbacks.Callback):
    """Keeps `history.json` up to date: one entry an epoch, and the number of the best one.

    Args:
      path: The file.
      schedule: The learning rate of each step.
      about: Further facts about the training for the file, by name.

    Attributes:
      epochs: The entries so far.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        about: Mapping[str, str | int],
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._about = about
        self.epochs: list[Mapping[str, float]] = []
        self._path = path
        self._start = 0.0

    def restore(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Takes over, and writes, the entries of the epochs before an interruption."""
        self.epochs = list(epochs)
        self._write()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds an entry."""
        entry: dict[str, float] = {"epoch": epoch + 1, "seconds": time.monotonic() - self._start}
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            entry[key] = float((logs or {})[key])
        last_step = max(0, int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) - 1)
        entry["learning_rate"] = float(self._schedule(last_step))
        self.epochs.append(entry)
        self._write()

    def _write(self) -> None:
        best = self.epochs[index_of_best([entry["val_accuracy"] for entry in self.epochs])]
        history = {"best_epoch": best["epoch"], **self._about, "epochs": self.epochs}
        write_json(str(self._path), history)


def write_untrained(run_dir: str) -> None:
    """Writes the history of a model that was not trained in this run, or not yet: it has no epochs."""
    write_json(join(run_dir, HISTORY_FILE), {"best_epoch": None, "epochs": []})


def add_to_history(run_dir: str, **facts: str) -> None:
    """Adds facts to a history that is written."""
    write_json(join(run_dir, HISTORY_FILE), {**facts, **read_history(run_dir)})


def read_history(model_run: str) -> dict[str, Any]:
    """Reads the history of a training from its `model_run` artifact."""
    return read_json(join(model_run, HISTORY_FILE))
