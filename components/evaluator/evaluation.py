"""An evaluation as it is written down: what was measured, what was decided, and what to mind."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluator.judge.evidence import INCUMBENT, SCRATCH, TEACHER, Evidence, role
from components.evaluator.judge.gates import Gate
from components.evaluator.judge.statistics import GapClosed
from components.evaluator.judge.verdict import is_blessed, is_teacher_worse, put_into_words, rivals
from components.evaluator.measure.slices import CLASS, Slice
from components.evaluator.measure.tally import EXAMPLE_COUNT
from components.metrics import METRICS, TOP_K_ACCURACY, K, f1_scores


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
    measured, cost, speed = evidence.quality[name], evidence.costs[name], evidence.speeds[name]
    metrics, confusion = measured.metrics, measured.confusion
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
        "reliability": [_finite_values(each) for each in measured.reliability],
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
    found |= {
        metric.name: _finite(metrics[metric.name]) for metric in METRICS if metric is not TOP_K_ACCURACY
    }
    top_k = _finite(metrics[TOP_K_ACCURACY.name])
    return found | {"top_k": None if top_k is None else {"k": K, "accuracy": top_k}}


def _per_class(evidence: Evidence, name: str, confusion: np.ndarray) -> dict[str, Any]:
    scores = f1_scores(confusion)
    with np.errstate(invalid="ignore"):
        precision = np.diag(confusion) / confusion.sum(axis=0)
    described = {}
    for label, class_name in enumerate(evidence.class_names):
        metrics = evidence.quality[name].metrics.get((CLASS, class_name), {})
        described[class_name] = {
            "examples": round(metrics.get(EXAMPLE_COUNT, 0)),
            **{
                metric.name: _finite(metrics.get(metric.name, math.nan))
                for metric in METRICS
                if metric.per_class
            },
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


def describe_verdict(evidence: Evidence, *, candidate: str, verdict: Sequence[Gate]) -> dict[str, Any]:
    """Puts the decision into JSON's types: `candidate`, `blessed`, `verdict` and `gates`."""
    return {
        "candidate": candidate,
        "blessed": is_blessed(verdict),
        "verdict": put_into_words(
            candidate,
            accuracy=evidence.metric(candidate, "accuracy"),
            test_examples=len(evidence.outcomes),
            confidence=evidence.confidence,
            rivals=rivals(evidence, candidate=candidate),
            gates=verdict,
        ),
        "gates": [dataclasses.asdict(gate) for gate in verdict],
    }


def warn_of(evidence: Evidence) -> list[str]:
    """Says what the reader of the numbers should know."""
    warnings = []
    if SCRATCH not in evidence.models:
        warnings.append(
            "The data to train and to validate on has no labels: there is no student trained from scratch to "
            "compare with, and the candidate is the student that agrees most with the teacher in validation."
        )
    if is_teacher_worse(evidence):
        warnings.append(
            "The teacher is worse than the student trained from scratch: distilling from it cannot be "
            "expected to help, and the gap closed is undefined."
        )
    absent = [
        name for label, name in enumerate(evidence.class_names) if label not in set(evidence.outcomes.labels)
    ]
    if absent:
        warnings.append(f"The test split has no images of {', '.join(absent)}: nothing is measured of them.")
    return warnings
