"""What the programs share that compare models of several seeds by the images that they get right."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from components.evaluator.judge.statistics import compare_means, gap_closed

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One trained model: who it is, and how it did.

    Attributes:
      method: `teacher`, `scratch`, or what a student is distilled by.
      settings: Of the method, of which several may have been tried.
      seed: Of its weights and batches.
      validation_accuracy: Of its best epoch.
      correct: Whether it is right, by the id of each test image.
    """

    method: str
    seed: int
    validation_accuracy: float
    correct: Mapping[str, bool]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def summarise(runs: Iterable[Run]) -> dict[str, Any]:
    """Turns the runs of an experiment into the rows of its table."""
    groups: dict[str, list[list[Run]]] = {}
    for run in runs:
        variants = groups.setdefault(run.method, [])
        variant = next((each for each in variants if each[0].settings == run.settings), None)
        if variant is None:
            variants.append([run])
        else:
            variant.append(run)
    best = {method: max(variants, key=_validation_accuracy) for method, variants in groups.items()}
    means = {method: mean_correct(run.correct for run in group) for method, group in best.items()}
    return {
        "test_images": len(means["teacher"]),
        "seeds": len({run.seed for run in best["teacher"]}),
        "models": [
            {
                "method": method,
                "settings": dict(group[0].settings),
                **_accuracy(group),
                **_against(means, method),
            }
            for method, group in best.items()
        ],
        "variants": [
            {
                "method": method,
                "settings": dict(group[0].settings),
                "validation_accuracy": _validation_accuracy(group),
                **_accuracy(group),
                **_against({**means, method: mean_correct(run.correct for run in group)}, method),
            }
            for method, variants in groups.items()
            for group in variants
            if method not in ("teacher", "scratch")
        ],
    }


def print_table(name: str, results: Mapping[str, Any]) -> None:
    """Prints one experiment as a Markdown table."""
    print(f"\n{name}: {results['test_images']} test images, {results['seeds']} seeds\n")
    print("| model | settings | accuracy | against scratch, points | gap closed |")
    print("|---|---|---|---|---|")
    for row in results["models"]:
        settings = ", ".join(f"{key} {value}" for key, value in row["settings"].items())
        spread = "" if row["half_width"] is None else f" ± {100 * row['half_width']:.2f}"
        lead, gap = row.get("lead"), row.get("gap_closed")
        against = _describe_points(**lead) if lead else ""
        closed = _describe_gap(gap) if gap else ""
        print(
            f"| {row['method']} | {settings} | {row['accuracy']:.2%}{spread} | {against} | {closed} |",
            flush=True,
        )


def mean_correct(outcomes: Iterable[Mapping[str, bool]]) -> np.ndarray:
    """Returns how often each test image was classified correctly, `[images]`, in the order of the ids.

    Args:
      outcomes: Of each model whether it is right, by the id of each image that it was tested on.
    """
    by_image: dict[str, list[bool]] = {}
    for correct in outcomes:
        for name, right in correct.items():
            by_image.setdefault(name, []).append(right)
    return np.array([np.mean(by_image[name]) for name in sorted(by_image)])


def describe_difference(correct: np.ndarray, other: np.ndarray) -> str:
    """Returns by how many points more images are classified correctly than by `other`, with the interval.

    Args:
      correct: How often each test image was classified correctly, `[images]`.
      other: The same of the model to compare with.
    """
    found = compare_means(lambda: [correct - other], confidence=CONFIDENCE)
    return _describe_points(estimate=found.estimate, low=found.low, high=found.high)


def half_width(values: Sequence[float] | np.ndarray) -> float | None:
    """Returns half the width of the t-interval of the mean of some values; None of one, which has none."""
    if len(values) < 2:
        return None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error)


def _validation_accuracy(runs: Sequence[Run]) -> float:
    return float(np.mean([run.validation_accuracy for run in runs]))


def _accuracy(runs: Sequence[Run]) -> dict[str, Any]:
    """Returns the accuracy of each seed, their mean, and half the t-interval's width."""
    by_seed: dict[int, list[bool]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).extend(run.correct.values())
    accuracies = [float(np.mean(correct)) for correct in by_seed.values()]
    return {
        "accuracies": accuracies,
        "accuracy": float(np.mean(accuracies)),
        "half_width": half_width(accuracies),
    }


def _against(means: Mapping[str, np.ndarray], method: str) -> dict[str, Any]:
    """Compares a student with scratch on the test images, each averaged over the seeds."""
    if method in ("teacher", "scratch"):
        return {}
    lead = compare_means(lambda: [means[method] - means["scratch"]], confidence=CONFIDENCE)
    gap = gap_closed(means[method], scratch=means["scratch"], teacher=means["teacher"], confidence=CONFIDENCE)
    return {
        "lead": {"estimate": lead.estimate, "low": lead.low, "high": lead.high},
        "gap_closed": dataclasses.asdict(gap),
    }


def _describe_points(*, estimate: float, low: float, high: float) -> str:
    return f"{100 * estimate:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _describe_gap(gap: Mapping[str, Any]) -> str:
    if gap["estimate"] is None:
        return gap["reason"]
    return f"{gap['estimate']:.0%} [{gap['low']:.0%}, {gap['high']:.0%}]"
