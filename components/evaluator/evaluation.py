"""An evaluation as it is written down: what was measured, what was decided, and what to mind."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from components.data_checks.findings import findings
from components.evaluator.judge.advice import advise
from components.evaluator.judge.evidence import INCUMBENT, SCRATCH, TEACHER, Evidence, role
from components.evaluator.judge.verdict import (
    is_blessed,
    is_teacher_worse,
    put_into_words,
    put_reference_into_words,
    rivals,
)
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.evaluator.measure.results import MeasuredQuality
from components.evaluator.measure.slices import CLASS, Slice
from components.evaluator.measure.tally import EXAMPLE_COUNT
from components.metrics import (
    ACCURACY,
    CROSS_ENTROPY,
    METRICS,
    TOP_K_ACCURACY,
    K,
    Metric,
    f1_scores,
)
from components.report.summary import (
    REFERENCE_METRICS,
    Architectures,
    Bin,
    ClassQuality,
    DataCheck,
    Difference,
    Evaluation,
    GapClosed,
    Gate,
    History,
    Latency,
    Machine,
    Model,
    Reference,
    ReferenceModel,
    SliceQuality,
    TestedOn,
    TopK,
    Variant,
    key_of,
)
from components.report.wording import settings


def describe(
    evidence: Evidence,
    *,
    candidate: str,
    gates: Sequence[Gate],
    architectures: Architectures,
    histories: Mapping[str, History],
    variants: Mapping[str, Sequence[Variant]],
    levers: Collection[str],
    incumbent_version: str,
    data_check: DataCheck,
    warnings: Sequence[str],
) -> Evaluation:
    """Puts together all that an evaluation says.

    Args:
      evidence: All that is known of the models.
      candidate: Name of the student that was judged.
      gates: What it had to meet.
      architectures: The layers of teacher and student.
      histories: The training of each model.
      variants: What was tried for each distilled student.
      levers: See `components.evaluator.judge.advice.advise`.
      incumbent_version: Which version ships, or `none`.
      data_check: What was found in the data.
      warnings: What the reader should know, beside what the evidence and the data tell.

    Returns:
      The evaluation, measured on this machine with these libraries.
    """
    tried = [each for variants_of_one in variants.values() for each in variants_of_one]
    return Evaluation(
        candidate=candidate,
        blessed=is_blessed(gates),
        verdict=put_into_words(
            candidate,
            accuracy=evidence.metric(candidate, "accuracy"),
            test_examples=len(evidence.outcomes),
            confidence=evidence.confidence,
            rivals=rivals(evidence, candidate=candidate),
            gates=gates,
            chosen=next(each.settings for each in variants[candidate] if each.chosen),
            variants_tried=len(tried),
            variants_diverged=sum(each.diverged_in is not None for each in tried),
        ),
        warnings=(
            *warnings,
            *_warnings(evidence),
            *_divergences(variants),
            *map(_as_sentence, findings(data_check)),
        ),
        gates=tuple(gates),
        class_names=evidence.class_names,
        test_examples=len(evidence.outcomes),
        confidence=evidence.confidence,
        gap_closed={name: _gap_closed(evidence, name) for name in evidence.students},
        differences=tuple(_differences(evidence)),
        models={name: _model(evidence, name) for name in evidence.models},
        reference=_reference(evidence, candidate=candidate),
        architectures=architectures,
        histories=histories,
        incumbent_version=incumbent_version,
        searches={name: tuple(found) for name, found in variants.items() if len(found) > 1},
        variants_tried=len(tried),
        data_check=data_check,
        advice=advise(
            histories, candidate=candidate, levers=levers, guessing=_share_of_largest_class(evidence)
        ),
        machine=Machine(**describe_machine()),
        versions=describe_versions(),
    )


def _share_of_largest_class(evidence: Evidence) -> float:
    """Returns the accuracy of who names the same class for every image, and the most frequent one."""
    counts = evidence.label_counts
    return float(counts.max() / counts.sum())


def _as_sentence(finding: str) -> str:
    return f"{finding[0].upper()}{finding[1:]}."


def _model(evidence: Evidence, name: str) -> Model:
    quality = evidence.quality[name]
    return Model(
        **_by_key(METRICS, quality.metrics[None]),
        **_costs(evidence, name),
        role=role(name),
        confusion_matrix=quality.confusion.tolist(),
        reliability=tuple(Bin.model_validate(each) for each in quality.reliability),
        per_class=_per_class(quality, class_names=evidence.class_names),
        slices=tuple(_slices(quality.metrics)),
    )


def _costs(evidence: Evidence, name: str) -> dict[str, Any]:
    """Returns what a model costs to keep and to run; None throughout where it is not at hand."""
    if name not in evidence.costs:
        return dict.fromkeys(("parameters", "size_bytes", "multiply_adds", "latency_ms", "throughput"))
    cost, speed = evidence.costs[name], evidence.speeds[name]
    return {
        "parameters": cost.parameters,
        "size_bytes": cost.size_bytes,
        "multiply_adds": cost.multiply_adds,
        "latency_ms": Latency(median=speed.latency_median_ms, p95=speed.latency_p95_ms),
        "throughput": speed.throughput,
    }


def _by_key(metrics: Sequence[Metric], values: Mapping[str, float]) -> dict[str, Any]:
    """Returns the values of metrics by their keys in an evaluation; one without a value is undefined."""
    found: dict[str, Any] = {key_of(metric): values.get(metric.name, math.nan) for metric in metrics}
    if TOP_K_ACCURACY in metrics:
        accuracy = found[key_of(TOP_K_ACCURACY)]
        found[key_of(TOP_K_ACCURACY)] = TopK(k=K, accuracy=accuracy) if math.isfinite(accuracy) else None
    return found


def _per_class(quality: MeasuredQuality, *, class_names: Sequence[str]) -> dict[str, ClassQuality]:
    per_class = [metric for metric in METRICS if metric.per_class]
    scores = f1_scores(quality.confusion)
    with np.errstate(invalid="ignore"):
        precision = np.diag(quality.confusion) / quality.confusion.sum(axis=0)
    described = {}
    for label, class_name in enumerate(class_names):
        values = quality.metrics.get((CLASS, class_name), {})
        described[class_name] = ClassQuality(
            **_by_key(per_class, values),
            examples=round(values.get(EXAMPLE_COUNT, 0)),
            precision=precision[label],
            f1=scores[label],
        )
    return described


def _slices(metrics: Mapping[Slice | None, Mapping[str, float]]) -> Iterator[SliceQuality]:
    keys = [key for key in metrics if key is not None and key[0] != CLASS]
    for feature, value in sorted(keys, key=_natural):
        values = metrics[feature, value]
        yield SliceQuality(
            **_by_key(METRICS, values), feature=feature, value=value, examples=round(values[EXAMPLE_COUNT])
        )


def _natural(key: Slice) -> tuple[str, float, str]:
    """Sorts numbers, and ranges of numbers, by size."""
    feature, value = key
    start = value.partition("-")[0]
    return feature, float(start) if start.isdecimal() else math.inf, value


def _reference(evidence: Evidence, *, candidate: str) -> Reference | None:
    """Describes what was measured on the reference images; None where there are none."""
    outcomes = evidence.reference
    if outcomes is None:
        return None
    return Reference(
        examples=len(outcomes),
        verdict=put_reference_into_words(
            accuracy=evidence.accuracy(candidate, split="reference"),
            examples=len(outcomes),
            confidence=evidence.confidence,
            rivals=rivals(evidence, candidate=candidate, split="reference"),
        ),
        models={
            name: ReferenceModel(
                **_by_key(
                    REFERENCE_METRICS,
                    {
                        ACCURACY.name: evidence.accuracy(name, split="reference"),
                        CROSS_ENTROPY.name: outcomes.mean_loss(name),
                    },
                )
            )
            for name in evidence.models
        },
        differences=tuple(_differences(evidence, split="reference")),
    )


def _differences(evidence: Evidence, *, split: TestedOn = "test") -> Iterator[Difference]:
    """Compares every distilled student with scratch, teacher and incumbent, on all images of a split."""
    baselines = [name for name in (SCRATCH, TEACHER, INCUMBENT) if name in evidence.models]
    for candidate in evidence.students:
        for baseline in baselines:
            for metric in ("accuracy", "cross_entropy"):
                difference = evidence.difference(candidate, baseline=baseline, metric=metric, split=split)
                yield Difference(
                    candidate=candidate,
                    baseline=baseline,
                    slice=None,
                    metric=metric,
                    estimate=difference.estimate,
                    confidence_interval=(difference.low, difference.high),
                    p_value=difference.p_value,
                )


def _gap_closed(evidence: Evidence, student: str) -> GapClosed:
    gap = evidence.gap_closed(student)
    interval = None if gap.low is None or gap.high is None else (gap.low, gap.high)
    return GapClosed(estimate=gap.estimate, confidence_interval=interval, reason=gap.reason)


def _warnings(evidence: Evidence) -> Iterator[str]:
    """Says what the reader of the numbers should know."""
    if SCRATCH not in evidence.models:
        yield (
            "The data for training and validation has no labels: there is no student trained from scratch to "
            "compare with, and the candidate is the student that agrees most often with the teacher on the "
            "validation split."
        )
    if TEACHER not in evidence.costs:
        yield (
            "The teacher is known by its predictions alone: its layers, its size and its speed are unknown."
        )
    if is_teacher_worse(evidence):
        yield (
            "The teacher is worse than the student trained from scratch: distilling from it cannot be "
            "expected to help, and the gap closed is undefined."
        )
    counts = zip(evidence.class_names, evidence.label_counts, strict=True)
    absent = [name for name, count in counts if not count]
    if absent:
        yield (
            f"The test split has no images of {', '.join(absent)}: how well the models recognise them is "
            "unknown."
        )


def _divergences(variants: Mapping[str, Sequence[Variant]]) -> Iterator[str]:
    """Says which variants of each distillation were left out of the choice."""
    for name, tried in variants.items():
        diverged = [
            f"{settings(each.settings)} in epoch {each.diverged_in}"
            for each in tried
            if each.diverged_in is not None
        ]
        if diverged:
            yield (
                f"{len(diverged)} of the {len(tried)} variants of {name!r} diverged and could not be chosen: "
                f"{'; '.join(diverged)}. A lower student.learning_rate, a warm-up or student.clip_norm may "
                "keep them finite."
            )
