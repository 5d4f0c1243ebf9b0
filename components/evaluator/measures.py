"""What is measured of a model, and how all of it is written down."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluator.cost import Cost
from components.evaluator.verdict import Verdict

TEACHER = "teacher"
SCRATCH = "scratch"
DISTILLED = "distilled"


@dataclasses.dataclass(frozen=True)
class Quality:
    """How good a model is on some examples.

    Attributes:
      examples: Number of examples.
      accuracy: Share of examples whose most probable class is the label; NaN without examples.
      cross_entropy: Mean of `-log p(label)` in nats; NaN without examples, or if an output is not finite.
    """

    examples: int
    accuracy: float
    cross_entropy: float


NOTHING = Quality(examples=0, accuracy=math.nan, cross_entropy=math.nan)


@dataclasses.dataclass(frozen=True)
class Measures:
    """All that is measured of one model: overall, for each class in the order of the labels, and its cost."""

    overall: Quality
    per_class: tuple[Quality, ...]
    cost: Cost


def role(name: str) -> str:
    """Returns the role of a model: that of teacher and scratch is their name, any other is distilled."""
    return name if name in (TEACHER, SCRATCH) else DISTILLED


def summarise(
    measures: Mapping[str, Measures], *, verdict: Verdict, class_names: Sequence[str]
) -> dict[str, Any]:
    """Puts an evaluation into JSON's types; what is not a finite number becomes None.

    Args:
      measures: What was measured of each model, by name.
      verdict: The decision.
      class_names: In the order of the labels.

    Returns:
      The content of `evaluation.json`.
    """
    return {
        "class_names": list(class_names),
        "test_examples": measures[verdict.candidate].overall.examples,
        "candidate": verdict.candidate,
        "blessed": verdict.blessed,
        "verdict": verdict.sentence,
        "gates": [dataclasses.asdict(gate) for gate in verdict.gates],
        "models": {name: _describe(name, each, class_names) for name, each in measures.items()},
    }


def _describe(name: str, measures: Measures, class_names: Sequence[str]) -> dict[str, Any]:
    return {
        "role": role(name),
        "accuracy": _finite(measures.overall.accuracy),
        "cross_entropy": _finite(measures.overall.cross_entropy),
        "parameters": measures.cost.parameters,
        "size_bytes": measures.cost.size_bytes,
        "per_class": {
            class_name: {"accuracy": _finite(quality.accuracy), "examples": quality.examples}
            for class_name, quality in zip(class_names, measures.per_class, strict=True)
        },
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
