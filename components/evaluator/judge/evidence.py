"""All that is known of the models of a run, and how they compare."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from components.evaluator.judge.statistics import (
    GapEstimate,
    PairedDifference,
    compare_accuracies,
    compare_means,
)
from components.evaluator.judge.statistics import gap_closed as measure_gap_closed
from components.evaluator.measure.cost import Cost, measure_cost
from components.evaluator.measure.outcomes import Outcomes, Where
from components.evaluator.measure.predictions import Stored
from components.evaluator.measure.results import MeasuredQuality, read_quality
from components.evaluator.measure.slices import CLASS, Slice
from components.evaluator.measure.speed import Speed
from components.layout import OUTCOMES_DIRECTORY, REFERENCE_OUTCOMES_DIRECTORY
from components.report.summary import Role, TestedOn
from components.serving.servable import Servable

TEACHER: Final = "teacher"
SCRATCH: Final = "scratch"
DISTILLED: Final = "distilled"
INCUMBENT: Final = "incumbent"


def role(name: str) -> Role:
    """Returns the role of a model: three have one for a name, any other is distilled."""
    named: dict[str, Role] = {TEACHER: TEACHER, SCRATCH: SCRATCH, INCUMBENT: INCUMBENT}
    return named.get(name, DISTILLED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of the models of a run.

    Attributes:
      class_names: In the order of the labels.
      quality: By model, on the test split.
      costs: By model; a teacher that is known by its predictions alone is not among them.
      speeds: Likewise.
      outcomes: What each model says of each test example.
      reference: Likewise of each reference image; None where there are none.
      confidence: Level of the confidence intervals, in (0, 1).
    """

    class_names: tuple[str, ...]
    quality: Mapping[str, MeasuredQuality]
    costs: Mapping[str, Cost]
    speeds: Mapping[str, Speed]
    outcomes: Outcomes
    reference: Outcomes | None
    confidence: float

    @functools.cached_property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self.quality)

    @functools.cached_property
    def students(self) -> tuple[str, ...]:
        """The names of the distilled students."""
        return tuple(name for name in self.models if role(name) == DISTILLED)

    def metric(self, model: str, name: str, *, of: Slice | None = None) -> float:
        """Returns a metric; NaN if it is undefined or the slice holds no example."""
        return self.quality[model].metrics.get(of, {}).get(name, math.nan)

    def accuracy(self, model: str, *, split: TestedOn) -> float:
        """Returns the share of the images of a split that a model gets right."""
        wrong, right = self.outcomes_on(split).right(model)
        return float(right / (wrong + right))

    def difference(
        self,
        candidate: str,
        *,
        baseline: str,
        metric: Literal["accuracy", "cross_entropy"],
        split: TestedOn = "test",
        of: Slice | None = None,
    ) -> PairedDifference:
        """Compares two models on the same examples; NaN throughout if there are none in the slice.

        Only the test split has slices.
        """
        outcomes, where = self.outcomes_on(split), of and self._where(of)
        if metric == "cross_entropy":
            differences = functools.partial(
                outcomes.loss_differences, candidate, baseline=baseline, where=where
            )
            return compare_means(differences, confidence=self.confidence)
        right = outcomes.right(candidate, baseline, where=where)
        if not right.any():
            return PairedDifference(estimate=math.nan, low=math.nan, high=math.nan, p_value=math.nan)
        return compare_accuracies(right, confidence=self.confidence)

    def outcomes_on(self, split: TestedOn) -> Outcomes:
        """Returns what each model says of each image of a split.

        Raises:
          ValueError: There are no reference images.
        """
        if split == "test":
            return self.outcomes
        if self.reference is None:
            raise ValueError("there are no reference images")
        return self.reference

    def gap_closed(self, student: str) -> GapEstimate:
        """Measures how much of the way from scratch to the teacher a student has gone."""
        if SCRATCH not in self.models:
            return GapEstimate(
                estimate=None, low=None, high=None, reason="there is no student trained from scratch"
            )
        counts = self.outcomes.right(student, SCRATCH, TEACHER)
        distilled, scratch, teacher = np.indices(counts.shape).reshape(3, -1)
        return measure_gap_closed(
            distilled, scratch=scratch, teacher=teacher, counts=counts.ravel(), confidence=self.confidence
        )

    @functools.cached_property
    def label_counts(self) -> np.ndarray:
        """How many test examples each class has, `[classes]`."""
        return self.outcomes.label_counts(len(self.class_names))

    def _where(self, of: Slice) -> Where:
        """Says which examples are in a slice; none are in one of a class that does not exist."""
        feature, value = of
        if feature != CLASS:
            return Where(f"feature:{feature}", value)
        is_known = value in self.class_names
        return Where("label", self.class_names.index(value) if is_known else len(self.class_names))


def gather(
    output: pathlib.Path,
    *,
    models: Mapping[str, Servable | Stored],
    speeds: Mapping[str, Speed],
    class_names: tuple[str, ...],
    confidence: float,
) -> Evidence:
    """Reads what the pass over the test split has left, and adds what the models cost.

    Args:
      output: The directory to which `components.evaluator.measure.analysis.analyse` has written, or a copy of
        it; the evidence reads there, too.
      models: The models by name.
      speeds: By model.
      class_names: In the order of the labels.
      confidence: Level of the confidence intervals, in (0, 1).

    Raises:
      InputError: There were no examples.
    """
    qualities = read_quality(str(output), class_names=class_names)
    reference = output / REFERENCE_OUTCOMES_DIRECTORY
    return Evidence(
        class_names=class_names,
        quality={name: qualities[name] for name in models},
        costs={name: measure_cost(model) for name, model in models.items() if isinstance(model, Servable)},
        speeds=speeds,
        outcomes=Outcomes.read(output / OUTCOMES_DIRECTORY),
        reference=Outcomes.read(reference) if reference.is_dir() else None,
        confidence=confidence,
    )


def parse_slice(name: str | None) -> Slice | None:
    """Takes `FEATURE=VALUE` apart; None stays None."""
    if name is None:
        return None
    feature, _, value = name.partition("=")
    return feature, value
