"""Successive halving: a search that stops the worse half of its variants ever again.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016,
https://arxiv.org/abs/1502.07943.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from components.telling import tell
from components.training.callbacks.best_epoch import index_of_best, rank

Epochs = Sequence[Mapping[str, float]]
V = TypeVar("V")


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


def halve(
    variants: Sequence[V], *, epochs: int, train: Callable[[V, range], Epochs | None], name: str
) -> V | None:
    """Finds the best variant on the validation split; only this one is trained to its end.

    One that diverges is left out, as if it had not been there: the next best takes its place, and is trained
    on from where it was stopped.

    Args:
      variants: What is tried.
      epochs: Of a whole training.
      train: Trains a variant until some epochs are finished, and returns the entries of its history; None if
        it diverges. It may be asked for epochs that are finished.
      name: How to call the search in messages.

    Returns:
      The variant; None if all diverge.
    """
    stages = rungs(len(variants), epochs=epochs)
    sound = left = list(range(len(variants)))
    number = 0
    while left and number < len(stages):
        rung = stages[number]
        histories = {each: train(variants[each], rung) for each in left}
        # What an interrupted attempt has trained beyond the rung must not count.
        ranks = {each: _rank(found[: rung.stop]) for each, found in histories.items() if found is not None}
        if len(ranks) < len(left):
            sound = [each for each in sound if each in ranks or each not in left]
            number, left = 0, sound  # Among fewer, one that was stopped may be good enough to go on.
            continue
        number += 1
        best = sorted(left, key=ranks.__getitem__)[: math.ceil(len(variants) / 2**number)]
        if number < len(stages):
            tell(
                f"goes on with the best {len(best)} of {len(left)} variants after epoch {rung.stop}",
                name=name,
            )
        left = sorted(best)
    return variants[left[0]] if left else None


def _rank(epochs: Epochs) -> tuple[float, float]:
    best = epochs[index_of_best([each["val_accuracy"] for each in epochs])]
    return rank(best["val_accuracy"], loss=best["val_loss"])
