"""Which student is the candidate, whether it may ship, and why."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from components.evaluator.judge.evidence import INCUMBENT, SCRATCH, TEACHER, Evidence
from components.report.summary import Gate, History, TestedOn
from components.report.wording import diverged, in_unit, percent, settings, signed_points, telling_decimals
from components.training.callbacks.best_epoch import rank

K = TypeVar("K")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rival:
    """A model that the candidate is compared with in the verdict.

    Attributes:
      name: As the sentence calls it.
      accuracy: In [0, 1].
      difference: The candidate's accuracy minus this one's.
      low: Lower end of the difference's confidence interval.
      high: Upper end.
      remark: Something plain to say of it; may be empty.
    """

    name: str
    accuracy: float
    difference: float
    low: float
    high: float
    remark: str = ""


def rivals(evidence: Evidence, *, candidate: str, split: TestedOn = "test") -> list[Rival]:
    """Returns what the candidate is compared with in the sentence of the verdict on a split."""
    found = []
    for name in (SCRATCH, TEACHER, INCUMBENT):
        if name in evidence.models:
            difference = evidence.difference(candidate, baseline=name, metric="accuracy", split=split)
            found.append(
                Rival(
                    name=name if name == SCRATCH else f"the {name}",
                    accuracy=evidence.accuracy(name, split=split),
                    difference=difference.estimate,
                    low=difference.low,
                    high=difference.high,
                    remark="worse than scratch" if name == TEACHER and is_teacher_worse(evidence) else "",
                )
            )
    return found


def is_teacher_worse(evidence: Evidence) -> bool:
    """Returns whether there is a student trained from scratch that has a higher accuracy than the teacher."""
    if SCRATCH not in evidence.models:
        return False
    return evidence.metric(TEACHER, "accuracy") < evidence.metric(SCRATCH, "accuracy")


def choose_candidate(histories: Mapping[K, History]) -> K:
    """Chooses among distilled students, or variants of one, by the validation split alone.

    Args:
      histories: The training of each student, by name.

    Returns:
      The name of the student with the highest validation accuracy at its best epoch; of several, the one
      with the lowest validation loss there, and then the first.
    """
    best = {name: history.best for name, history in histories.items()}
    return min(best, key=lambda name: rank(best[name].val_accuracy, loss=best[name].val_loss))


def is_blessed(gates: Sequence[Gate]) -> bool:
    """Returns whether the candidate may ship: all gates hold."""
    return all(gate.held for gate in gates)


def put_into_words(
    candidate: str,
    *,
    accuracy: float,
    test_examples: int,
    confidence: float,
    rivals: Sequence[Rival],
    gates: Sequence[Gate],
    chosen: Mapping[str, float] = MappingProxyType({}),
    variants_tried: int = 1,
    variants_diverged: int = 0,
) -> str:
    """Says in one sentence what was decided, why, and on what numbers.

    Args:
      candidate: Name of the candidate.
      accuracy: Its accuracy, in [0, 1].
      test_examples: Number of test images.
      confidence: Level of the confidence intervals, in (0, 1).
      rivals: What it is compared with.
      gates: What it had to meet.
      chosen: The settings by which it differs from other variants of its distillation, if it has any.
      variants_tried: Among how many variants it was chosen.
      variants_diverged: How many of these diverged.

    Returns:
      The sentence.
    """
    failures = [_failure(gate) for gate in gates if not gate.held]
    blessed = f"not blessed: {', and '.join(failures)}" if failures else "blessed"
    images = "1 test image" if test_examples == 1 else f"{test_examples:,} test images"
    choice = _choice(chosen, variants_tried=variants_tried, variants_diverged=variants_diverged)
    subject = f"The student {candidate!r}{choice}"
    measured = _measure(f" on {images}", accuracy=accuracy, rivals=rivals, confidence=confidence)
    return f"{subject} is {blessed}; {measured}"


def put_reference_into_words(
    *, accuracy: float, examples: int, confidence: float, rivals: Sequence[Rival]
) -> str:
    """Says in one sentence what was found on the reference images.

    Args:
      accuracy: The candidate's there, in [0, 1].
      examples: Number of reference images.
      confidence: Level of the confidence intervals, in (0, 1).
      rivals: What it is compared with there.
    """
    images = "1 reference image, which is" if examples == 1 else f"{examples:,} reference images, which are"
    measured = _measure("", accuracy=accuracy, rivals=rivals, confidence=confidence)
    return f"On the {images} the same in every run: {measured}"


def _measure(where: str, *, accuracy: float, rivals: Sequence[Rival], confidence: float) -> str:
    """Says what the candidate reaches, and what its rivals do."""
    decimals = telling_decimals([accuracy, *(rival.accuracy for rival in rivals)])
    reached = f"accuracy {percent(accuracy, decimals=decimals)}{where}"
    compared = [_compare(rival, decimals=decimals) for rival in rivals]
    level = f"in brackets its lead and the {confidence * 100:g}\N{NO-BREAK SPACE}% interval"
    return "; ".join([reached, *compared]) + f" ({level})."


def _choice(chosen: Mapping[str, float], *, variants_tried: int, variants_diverged: int) -> str:
    """Says which settings won, and against how many."""
    if variants_tried < 2:
        return ""
    among = f"the best of {variants_tried} variants on the validation split{diverged(variants_diverged)}"
    return f" ({settings(chosen)}: {among})" if chosen else f" ({among})"


def _compare(rival: Rival, *, decimals: int) -> str:
    low, high = (signed_points(each).rpartition("\N{NO-BREAK SPACE}")[0] for each in (rival.low, rival.high))
    remark = f", {rival.remark}" if rival.remark else ""
    return (
        f"{rival.name} {percent(rival.accuracy, decimals=decimals)}{remark} "
        f"[{signed_points(rival.difference)}, {low} to {high}]"
    )


def _failure(gate: Gate) -> str:
    """Says why a gate does not hold."""
    where = f" on {gate.slice}" if gate.slice else ""
    where += " on the reference images" if gate.split == "reference" else ""
    detail = f" ({gate.detail})" if gate.detail else ""
    if gate.bound is None:
        return "some of its outputs are not finite numbers"
    if gate.unit == "probability" and gate.measured is not None:
        how = "significantly worse" if gate.relation == "at least" else "not significantly better"
        return f"it is {how} than {gate.baseline}{where}{detail}"
    against = f" against {gate.baseline}" if gate.baseline else ""
    found = "undefined" if gate.measured is None else in_unit(gate.measured, unit=gate.unit)
    asked = in_unit(gate.bound, unit=gate.unit)
    return f"{gate.name}{against}{where} is {found}, but {gate.relation} {asked} was asked{detail}"
