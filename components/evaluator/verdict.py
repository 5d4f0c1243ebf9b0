"""Which student is the candidate, whether it may ship, and why."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.evaluator.wording import percent, telling_decimals


@dataclasses.dataclass(frozen=True)
class Gate:
    """One condition that the candidate has to meet.

    Attributes:
      name: What is measured.
      model: The model on which it is measured.
      bound: The least value that holds; None where the measure only has to be a number.
      measured: The value; None where it is not a number.
      held: Whether the condition is met.
    """

    name: str
    model: str
    bound: float | None
    measured: float | None
    held: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A decision, in one sentence and in its parts."""

    candidate: str
    blessed: bool
    sentence: str
    gates: tuple[Gate, ...]


def choose_candidate(histories: Mapping[str, Mapping[str, Any]]) -> str:
    """Chooses among distilled students by the validation split alone.

    Args:
      histories: `{"best_epoch": k, "epochs": [{"epoch", "val_accuracy", "val_loss", ...}, ...]}` of each
        student, by name.

    Returns:
      The name of the student with the highest validation accuracy at its best epoch; of several, the one
      with the lowest validation loss there, and then the first.
    """

    def rank(name: str) -> tuple[float, float]:
        best = best_epoch(histories[name])
        loss = best["val_loss"]
        return -best["val_accuracy"], math.inf if math.isnan(loss) else loss

    return min(histories, key=rank)


def best_epoch(history: Mapping[str, Any]) -> Mapping[str, float]:
    """Returns the entry of the epoch whose weights were kept."""
    return next(epoch for epoch in history["epochs"] if epoch["epoch"] == history["best_epoch"])


def decide(
    *,
    candidate: str,
    accuracies: Mapping[str, float],
    cross_entropy: float,
    test_examples: int,
    min_accuracy: float,
) -> Verdict:
    """Decides whether the candidate may ship.

    Args:
      candidate: Name of the candidate.
      accuracies: Accuracy on the test split, in [0, 1], of `teacher`, `scratch` and the candidate.
      cross_entropy: The candidate's, in nats.
      test_examples: Number of test examples.
      min_accuracy: The least accuracy, in [0, 1], that is enough.

    Returns:
      The verdict. A candidate that gives anything but finite numbers is never blessed.
    """
    accuracy = accuracies[candidate]
    is_finite = math.isfinite(cross_entropy)
    gates = (
        Gate("accuracy", candidate, min_accuracy, accuracy, accuracy >= min_accuracy),
        Gate("finite cross-entropy", candidate, None, cross_entropy if is_finite else None, is_finite),
    )
    blessed = all(gate.held for gate in gates)
    return Verdict(
        candidate=candidate,
        blessed=blessed,
        sentence=_sentence(
            candidate=candidate,
            is_blessed=blessed,
            is_finite=is_finite,
            accuracies=accuracies,
            test_examples=test_examples,
            min_accuracy=min_accuracy,
        ),
        gates=gates,
    )


def _sentence(
    *,
    candidate: str,
    is_blessed: bool,
    is_finite: bool,
    accuracies: Mapping[str, float],
    test_examples: int,
    min_accuracy: float,
) -> str:
    decimals = telling_decimals([*accuracies.values(), min_accuracy])
    accuracy, scratch, teacher, asked = (
        percent(share, decimals=decimals)
        for share in (accuracies[candidate], accuracies["scratch"], accuracies["teacher"], min_accuracy)
    )
    sentence = f"The student {candidate!r} is {'' if is_blessed else 'not '}blessed: accuracy {accuracy}"
    sentence += " on 1 test image" if test_examples == 1 else f" on {test_examples:,} test images"
    if min_accuracy:
        but = "" if accuracies[candidate] >= min_accuracy else "but "
        sentence += f", {but}at least {asked} was asked"
    if not is_finite:
        sentence += ", but some of its outputs are not finite numbers"
    return f"{sentence}; scratch reaches {scratch}, the teacher {teacher}."
