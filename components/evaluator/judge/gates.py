"""The conditions that the candidate has to meet, as the settings of the evaluation ask for them."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from components.evaluator.judge.evidence import INCUMBENT, SCRATCH, Evidence, parse_slice
from components.evaluator.judge.statistics import PairedDifference
from components.metrics import BY_NAME
from components.report.summary import Gate, TestedOn, Unit
from components.report.wording import signed, signed_points
from components.settings.evaluation import ChangeThreshold, EvaluationSettings, ValueThreshold


def at_least(bound: float, measured: float | None, **about: Any) -> Gate:
    """Makes a gate that holds from the bound on; `about` are the other attributes of `Gate`."""
    return _gate("at least", bound, measured, **about)


def at_most(bound: float, measured: float | None, **about: Any) -> Gate:
    """Makes a gate that holds up to the bound; `about` are the other attributes of `Gate`."""
    return _gate("at most", bound, measured, **about)


def finite(measured: float, **about: Any) -> Gate:
    """Makes a gate that holds for every finite number; `about` are the other attributes of `Gate`."""
    return _gate("finite", None, measured, **about)


def _gate(
    relation: Literal["at least", "at most", "finite"],
    bound: float | None,
    measured: float | None,
    *,
    name: str,
    model: str,
    unit: Unit,
    baseline: str | None = None,
    slice_name: str | None = None,
    split: TestedOn = "test",
    detail: str = "",
) -> Gate:
    is_finite = measured is not None and math.isfinite(measured)
    held = is_finite
    if measured is not None and bound is not None and is_finite:
        held = measured >= bound if relation == "at least" else measured <= bound
    return Gate(
        name=name,
        model=model,
        baseline=baseline,
        slice=slice_name,
        split=split,
        relation=relation,
        unit=unit,
        bound=bound,
        measured=measured if is_finite else None,
        held=held,
        detail=detail,
    )


def gates(
    evidence: Evidence,
    *,
    candidate: str,
    settings: EvaluationSettings,
    incomparable: str | None = None,
) -> list[Gate]:
    """Holds the candidate against everything that was asked of it.

    Args:
      evidence: All that was measured.
      candidate: Name of the candidate.
      settings: What it must reach. What is asked against scratch or the incumbent is left out where there
        is none.
      incomparable: Why the student that ships is not among the models; None if it is, or none ships.

    Returns:
      The gates, those that are set in every run first.
    """
    found = list(_always(evidence, candidate=candidate))
    found += _values(evidence, candidate, ValueThreshold(metric="accuracy", min=settings.min_accuracy))
    if settings.against_scratch != "any" and SCRATCH in evidence.models:
        change = ChangeThreshold(baseline="scratch", significant=settings.against_scratch)
        found += _change(evidence, candidate, change, level=settings.significance_level)
    if INCUMBENT in evidence.models:
        found += _drops(evidence, candidate, settings)
    if incomparable is not None and settings.on_incomparable == "hold":
        name = "number of shipping students compared with"
        found.append(at_least(1, 0, name=name, model=candidate, unit="none", detail=incomparable))
    found += _costs(evidence, candidate=candidate, settings=settings)
    for value in settings.values:
        found += _values(evidence, candidate, value)
    for change in settings.changes:
        if change.baseline in evidence.models:
            found += _change(evidence, candidate, change, level=settings.significance_level)
    return found


def _always(evidence: Evidence, *, candidate: str) -> Iterator[Gate]:
    cross_entropy = evidence.metric(candidate, "cross_entropy")
    yield finite(cross_entropy, name="finite cross-entropy", model=candidate, unit="nats")
    if np.count_nonzero(evidence.label_counts) > 1:
        named = int(np.count_nonzero(evidence.quality[candidate].confusion.sum(axis=0)))
        yield at_least(2, named, name="number of classes named", model=candidate, unit="none")


def _costs(evidence: Evidence, *, candidate: str, settings: EvaluationSettings) -> Iterator[Gate]:
    if settings.min_gap_closed is not None:
        gap = evidence.gap_closed(candidate)
        yield at_least(
            settings.min_gap_closed,
            gap.estimate,
            name="gap closed",
            model=candidate,
            unit="ratio",
            detail=gap.reason or "",
        )
    if settings.max_size_bytes is not None:
        size = evidence.costs[candidate].size_bytes
        yield at_most(settings.max_size_bytes, size, name="size", model=candidate, unit="bytes")
    if settings.max_latency_ms is not None:
        yield at_most(
            settings.max_latency_ms,
            evidence.speeds[candidate].latency_median_ms,
            name="median latency",
            model=candidate,
            unit="milliseconds",
        )


def _values(evidence: Evidence, candidate: str, threshold: ValueThreshold) -> Iterator[Gate]:
    value = evidence.metric(candidate, threshold.metric, of=parse_slice(threshold.slice))
    about: dict[str, Any] = {
        "name": threshold.metric.replace("_", " "),
        "model": candidate,
        "unit": BY_NAME[threshold.metric].unit,
        "slice_name": threshold.slice,
    }
    if threshold.min is not None:
        yield at_least(threshold.min, value, **about)
    if threshold.max is not None:
        yield at_most(threshold.max, value, **about)


def _change(evidence: Evidence, candidate: str, change: ChangeThreshold, *, level: float) -> Iterator[Gate]:
    difference = evidence.difference(
        candidate, baseline=change.baseline, metric=change.metric, of=parse_slice(change.slice)
    )
    metric = change.metric.replace("_", " ")
    about: dict[str, Any] = {"model": candidate, "baseline": change.baseline, "slice_name": change.slice}
    about["detail"] = _describe(difference, metric=change.metric, confidence=evidence.confidence)
    unit = BY_NAME[change.metric].unit
    if change.min is not None:
        yield at_least(change.min, difference.estimate, name=f"difference in {metric}", unit=unit, **about)
    if change.max is not None:
        yield at_most(change.max, difference.estimate, name=f"difference in {metric}", unit=unit, **about)
    higher_is_better = BY_NAME[change.metric].better == "high"
    if change.significant == "not_worse":
        p_worse = difference.p_worse(higher_is_better=higher_is_better)
        yield at_least(level, p_worse, name=f"p-value of a worse {metric}", unit="probability", **about)
    if change.significant == "better":
        p_better = difference.p_better(higher_is_better=higher_is_better)
        yield at_most(level, p_better, name=f"p-value of a better {metric}", unit="probability", **about)


def _drops(evidence: Evidence, candidate: str, settings: EvaluationSettings) -> Iterator[Gate]:
    """Bounds what the candidate may lose against the incumbent, on each set of images that there is."""
    yield _drop(evidence, candidate, settings.max_accuracy_drop, split="test")
    if evidence.reference is not None:
        most = settings.max_accuracy_drop_on_reference
        yield _drop(
            evidence, candidate, settings.max_accuracy_drop if most is None else most, split="reference"
        )


def _drop(evidence: Evidence, candidate: str, most: float, *, split: TestedOn) -> Gate:
    difference = evidence.difference(candidate, baseline=INCUMBENT, metric="accuracy", split=split)
    return at_most(
        most,
        -difference.estimate,
        name="drop in accuracy",
        model=candidate,
        baseline=INCUMBENT,
        split=split,
        unit="share",
        detail=_describe(difference, metric="accuracy", confidence=evidence.confidence),
    )


def _describe(difference: PairedDifference, *, metric: str, confidence: float) -> str:
    """Writes a difference and its interval, as far as they are defined."""
    if math.isnan(difference.estimate):
        return "undefined"
    write = signed_points if BY_NAME[metric].unit == "share" else signed
    words = f"{metric.replace('_', ' ')} {write(difference.estimate)}"
    if math.isnan(difference.low):
        return words
    level = f"{confidence * 100:g}\N{NO-BREAK SPACE}%"
    return f"{words}, {level} interval {write(difference.low)} to {write(difference.high)}"
