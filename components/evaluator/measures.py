"""What is measured of models, how they compare, and how all of it is written down."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from components.evaluator.cost import Cost, Speed
from components.evaluator.metrics import EXAMPLE_COUNT, METRICS, TOP_K, K, f1_scores
from components.evaluator.outcomes import Outcomes
from components.evaluator.statistics import Difference, GapClosed, compare_accuracies, compare_means
from components.evaluator.statistics import gap_closed as measure_gap_closed

TEACHER = "teacher"
SCRATCH = "scratch"
DISTILLED = "distilled"
INCUMBENT = "incumbent"
CLASS = "class"

Slice = tuple[str, str]

# Of a class by itself, only these mean something.
_CLASS_METRICS = (
    *("accuracy", "cross_entropy", "expected_calibration_error", "auc", "agreement_with_teacher"),
    *("kl_from_teacher", "agreement_where_teacher_right", "agreement_where_teacher_wrong"),
)


def role(name: str) -> str:
    """Returns the role of a model: three have one for a name, any other is distilled."""
    return name if name in (TEACHER, SCRATCH, INCUMBENT) else DISTILLED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of the models of a run.

    Attributes:
      class_names: In the order of the labels.
      metrics: By model and by slice, of which None is all examples and `("class", NAME)` a class.
      costs: By model.
      speeds: By model.
      outcomes: What each model says of each test example.
      confidence: Level of the confidence intervals, in (0, 1).
    """

    class_names: tuple[str, ...]
    metrics: Mapping[str, Mapping[Slice | None, Mapping[str, float]]]
    costs: Mapping[str, Cost]
    speeds: Mapping[str, Speed]
    outcomes: Outcomes
    confidence: float

    @functools.cached_property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self.metrics)

    @functools.cached_property
    def students(self) -> tuple[str, ...]:
        """The names of the distilled students."""
        return tuple(name for name in self.models if role(name) == DISTILLED)

    def metric(self, model: str, name: str, *, of: Slice | None = None) -> float:
        """Returns a metric; NaN if it is undefined or the slice holds no example."""
        return self.metrics[model].get(of, {}).get(name, math.nan)

    def difference(
        self,
        candidate: str,
        *,
        baseline: str,
        metric: Literal["accuracy", "cross_entropy"],
        of: Slice | None = None,
    ) -> Difference:
        """Compares two models on the same examples; NaN throughout if the slice holds none."""
        mine = self._mask(of)
        if not mine.any():
            return Difference(estimate=math.nan, low=math.nan, high=math.nan, p_value=math.nan)
        values, compare = (
            (self.outcomes.right, compare_accuracies)
            if metric == "accuracy"
            else (self.outcomes.losses, compare_means)
        )
        return compare(values(candidate)[mine], baseline=values(baseline)[mine], confidence=self.confidence)

    def gap_closed(self, student: str) -> GapClosed:
        """Measures how much of the way from scratch to the teacher a student has gone."""
        if SCRATCH not in self.models:
            return GapClosed(
                estimate=None, low=None, high=None, reason="there is no student trained from scratch"
            )
        right = self.outcomes.right
        return measure_gap_closed(
            right(student), scratch=right(SCRATCH), teacher=right(TEACHER), confidence=self.confidence
        )

    def _mask(self, of: Slice | None) -> np.ndarray:
        if of is None:
            return np.full(len(self.outcomes), True)
        feature, value = of
        if feature != CLASS:
            return self.outcomes.where(feature, value)
        if value not in self.class_names:
            return np.full(len(self.outcomes), False)
        return self.outcomes.labels == self.class_names.index(value)


def parse_slice(name: str | None) -> Slice | None:
    """Takes `FEATURE=VALUE` apart; None stays None."""
    if name is None:
        return None
    feature, _, value = name.partition("=")
    return feature, value


def summarise(evidence: Evidence) -> dict[str, Any]:
    """Puts the measures into JSON's types; what is not a finite number becomes None.

    Args:
      evidence: All that is known of the models.

    Returns:
      `class_names`, `test_examples`, `confidence`, `models`, `differences` and `gap_closed`, as
      `summary.schema.json` says.
    """
    return {
        "class_names": list(evidence.class_names),
        "test_examples": len(evidence.outcomes),
        "confidence": evidence.confidence,
        "models": {name: _describe(evidence, name) for name in evidence.models},
        "differences": _differences(evidence),
        "gap_closed": {name: _describe_gap(evidence.gap_closed(name)) for name in evidence.students},
    }


def _describe(evidence: Evidence, name: str) -> dict[str, Any]:
    metrics, cost, speed = evidence.metrics[name], evidence.costs[name], evidence.speeds[name]
    confusion = evidence.outcomes.confusion(name, num_classes=len(evidence.class_names))
    quality = _quality(metrics[None])
    del quality["examples"]
    return {
        "role": role(name),
        **quality,
        "parameters": cost.parameters,
        "size_bytes": cost.size_bytes,
        "multiply_adds": cost.multiply_adds,
        "latency_ms": {"median": speed.latency_median_ms, "p95": speed.latency_p95_ms},
        "throughput": speed.throughput,
        "confusion_matrix": confusion.tolist(),
        "reliability": [_finite_values(each) for each in evidence.outcomes.reliability(name)],
        "per_class": _per_class(evidence, name, confusion),
        "slices": [
            {"feature": key[0], "value": key[1], **_quality(each)}
            for key, each in sorted(metrics.items(), key=lambda item: _natural(item[0]))
            if key is not None and key[0] != CLASS
        ],
    }


def _natural(key: Slice | None) -> tuple[str, float, str]:
    """Sorts numbers, and ranges of numbers, by size."""
    feature, value = key or ("", "")
    start = value.partition("-")[0]
    return feature, float(start) if start.isdecimal() else math.inf, value


def _quality(metrics: Mapping[str, float]) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": round(metrics[EXAMPLE_COUNT])}
    found |= {name: _finite(metrics[name]) for name in METRICS if name not in (EXAMPLE_COUNT, TOP_K)}
    top_k = _finite(metrics[TOP_K])
    return found | {"top_k": None if top_k is None else {"k": K, "accuracy": top_k}}


def _per_class(evidence: Evidence, name: str, confusion: np.ndarray) -> dict[str, Any]:
    scores = f1_scores(confusion)
    with np.errstate(invalid="ignore"):
        precision = np.diag(confusion) / confusion.sum(axis=0)
    described = {}
    for label, class_name in enumerate(evidence.class_names):
        metrics = evidence.metrics[name].get((CLASS, class_name), {})
        described[class_name] = {
            "examples": round(metrics.get(EXAMPLE_COUNT, 0)),
            **{metric: _finite(metrics.get(metric, math.nan)) for metric in _CLASS_METRICS},
            "precision": _finite(precision[label]),
            "f1": _finite(scores[label]),
        }
    return described


def _differences(evidence: Evidence) -> list[dict[str, Any]]:
    """Compares every distilled student with scratch, teacher and incumbent, on all examples."""
    baselines = [name for name in (SCRATCH, TEACHER, INCUMBENT) if name in evidence.models]
    found = []
    for candidate in evidence.students:
        for baseline in baselines:
            for metric in ("accuracy", "cross_entropy"):
                difference = evidence.difference(candidate, baseline=baseline, metric=metric)
                found.append(
                    {
                        "candidate": candidate,
                        "baseline": baseline,
                        "slice": None,
                        "metric": metric,
                        "estimate": _finite(difference.estimate),
                        "confidence_interval": _interval(difference.low, difference.high),
                        "p_value": _finite(difference.p_value),
                    }
                )
    return found


def _describe_gap(gap: GapClosed) -> dict[str, Any]:
    interval = None if gap.low is None or gap.high is None else [gap.low, gap.high]
    return {"estimate": gap.estimate, "confidence_interval": interval, "reason": gap.reason}


def _interval(low: float, high: float) -> list[float] | None:
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None


def _finite_values(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(number) for name, number in numbers.items()}


def _finite(number: float) -> float | None:
    return number if isinstance(number, int) else float(number) if math.isfinite(number) else None
