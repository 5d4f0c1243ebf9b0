"""Logs the progress of a training."""

import dataclasses
import logging
import math
import time
from typing import Any

import keras

_SECONDS_BETWEEN_REPORTS = 0.25

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands: epochs and steps count from 1, the time left is in seconds."""

    model: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    seconds_left: float


class ProgressLogger(keras.callbacks.Callback):
    """Logs the progress a few times a second, and always at the end of an epoch.

    Each record carries a `TrainingProgress` as its attribute `training_progress`.

    Args:
      model_name: How to call the model.
      end: How many epochs are finished when the training ends or is left, to which the time left counts.
    """

    def __init__(self, *, model_name: str, end: int) -> None:
        super().__init__()
        self._model_name = model_name
        self._end = end
        self._epoch = 0
        self._first_epoch: int | None = None
        self._start = self._last_report = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch, which is not 0 at first where a training goes on."""
        self._epoch = epoch
        if self._first_epoch is None:
            self._first_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports, unless it did a moment ago and the epoch goes on."""
        now = time.monotonic()
        steps = self.params["steps"]
        step = min(batch + 1, steps)  # Keras counts all steps of an execution, also those it had no data for.
        if now - self._last_report < _SECONDS_BETWEEN_REPORTS and step < steps:
            return
        self._last_report = now
        self._report(step=step, steps=steps, logs=logs or {})

    def _report(self, *, step: int, steps: int, logs: dict[str, Any]) -> None:
        epochs = self.params["epochs"]
        first = self._first_epoch or 0
        done = ((self._epoch - first) * steps + step) / ((self._end - first) * steps)
        progress = TrainingProgress(
            model=self._model_name,
            epoch=self._epoch + 1,
            epochs=epochs,
            step=step,
            steps=steps,
            loss=float(logs.get("loss", math.nan)),
            accuracy=float(logs.get("accuracy", math.nan)),
            seconds_left=(time.monotonic() - self._start) * (1 / done - 1),
        )
        logger.info(
            "%s: epoch %d/%d, step %d/%d, loss %.4f, accuracy %.4f",
            progress.model,
            progress.epoch,
            epochs,
            step,
            steps,
            progress.loss,
            progress.accuracy,
            extra={"training_progress": progress},
        )
