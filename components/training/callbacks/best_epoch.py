"""Keeps the weights of a training's best epoch."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def index_of_best(accuracies: Sequence[float]) -> int:
    """Returns the place of the best of some epochs: the highest validation accuracy, of equals the earliest.

    Args:
      accuracies: The validation accuracy of each epoch; at least one.
    """
    return max(range(len(accuracies)), key=accuracies.__getitem__)


def rank(accuracy: float, *, loss: float | None) -> tuple[float, float]:
    """Sorts trainings by their best epochs, the best first: by accuracy, and of equals by loss.

    Args:
      accuracy: The validation accuracy.
      loss: The validation loss; None if it is not finite.
    """
    return -accuracy, math.inf if loss is None else loss


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the best epoch so far.

    Attributes:
      accuracies: The validation accuracy of each epoch so far.
      weights: The model's weights after the best of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.accuracies: list[float] = []
        self.weights: list[np.ndarray] = []

    def restore(self, *, accuracies: Sequence[float], weights: Sequence[np.ndarray]) -> None:
        """Takes over the epochs before an interruption."""
        self.accuracies, self.weights = list(accuracies), list(weights)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Copies the weights if no epoch before was as good."""
        self.accuracies.append(float((logs or {})["val_accuracy"]))
        if index_of_best(self.accuracies) == len(self.accuracies) - 1:
            self.weights = self.model.get_weights()
