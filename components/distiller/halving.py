"""Successive halving: a search that stops the worse half of its variants ever again.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016,
https://arxiv.org/abs/1502.07943.
"""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from components.files import read_json, write_json
from components.layout import SEARCH_FILE
from components.telling import tell
from components.training.callbacks.best_epoch import index_of_best, rank

Epochs = Sequence[Mapping[str, float]]
V = TypeVar("V")


class Trial(NamedTuple):
    """A variant that was tried: its values for the keys of several, and its history as it was written."""

    settings: Mapping[str, float]
    history: Mapping[str, Any]


def rungs(variants: int, *, epochs: int) -> list[range]:
    """Returns which epochs, from 0, are trained before each halving, and last by the one that is left.

    Each rung ends after twice the epochs of the one before, so that all cost about the same.

    Args:
      variants: How many there are at first.
      epochs: Of a whole training.
    """
    halvings = (variants - 1).bit_length()
    ends = [math.ceil(epochs / 2 ** (halvings - number)) for number in range(halvings + 1)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def halve(variants: Sequence[V], *, epochs: int, train: Callable[[V, range], Epochs], name: str) -> V:
    """Finds the best variant on the validation split; only this one is left to be trained to its end.

    Args:
      variants: What is tried.
      epochs: Of a whole training.
      train: Trains a variant on for some epochs, and returns the entries of its history.
      name: How to call the search in messages.

    Returns:
      The variant that is best after each rung but the last.
    """
    left = list(variants)
    for rung in rungs(len(variants), epochs=epochs)[:-1]:
        # What an interrupted attempt has trained beyond the rung must not count.
        ranks = [_rank(train(variant, rung)[: rung.stop]) for variant in left]
        best = sorted(range(len(left)), key=ranks.__getitem__)[: math.ceil(len(left) / 2)]
        tell(f"goes on with the best {len(best)} of {len(left)} variants after epoch {rung.stop}", name=name)
        left = [left[number] for number in sorted(best)]
    (winner,) = left
    return winner


def _rank(epochs: Epochs) -> tuple[float, float]:
    best = epochs[index_of_best([each["val_accuracy"] for each in epochs])]
    return rank(best["val_accuracy"], loss=best["val_loss"])


def write_trials(model_run: str, trials: Sequence[Trial]) -> None:
    """Writes what was tried beside the history of the winner."""
    write_json(pathlib.Path(model_run, SEARCH_FILE), {"variants": [trial._asdict() for trial in trials]})


def read_trials(model_run: str) -> list[Trial]:
    """Reads what was tried in a training; nothing, if it was of one variant."""
    path = pathlib.Path(model_run, SEARCH_FILE)
    return [Trial(**trial) for trial in read_json(path)["variants"]] if path.is_file() else []
