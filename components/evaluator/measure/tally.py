"""The metrics as one of TFMA's: a tally of counts over the examples of each slice."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import apache_beam as beam
import numpy as np
from scipy import special
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.metrics import multi_class_confusion_matrix_metrics as confusion

from components.evaluator.measure.histogram import Histogram
from components.metrics import AUC, CALIBRATION_BINS, METRICS, NO_CLASS, Counts, K, calibration_bins, ratio

EXAMPLE_COUNT = "example_count"

# The key of TFMA's extracts that says whether there can be no curves.
HAVE_ONE_LABEL = "have_one_label"
# The names of the scalars, and of the two arrays.
NAMES = (EXAMPLE_COUNT, *(metric.name for metric in METRICS))
CONFUSION_MATRIX, RELIABILITY = "confusion_matrix", "reliability"

_BUFFER, _BUFFERED_LOGITS = 1024, 1 << 15
# One-vs-rest scores are told apart to 1/4096 in log-odds, within a range beyond which softmax is 0 or 1. Of
# very many the resolution is halved until few differ: Flink refuses a tally of all those of 60,000 images.
_SCORE_BINS, _SCORE_LIMIT = 1 << 18, 32.0
_MOST_SCORES, _MOST_OF_CLASS = 1 << 17, 64


class Examples(NamedTuple):
    """Examples of a slice.

    Attributes:
      labels: `[examples]`.
      logits: `[models, examples, num_classes]`.
      have_one_label: Whether all examples of the slice have the same label, so that there are no curves.
    """

    labels: np.ndarray
    logits: np.ndarray
    have_one_label: bool


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns log-probabilities in float64, `[..., num_classes]`, finite for all finite logits.

    Keras clips probabilities at 1e-7, which hides how wrong a confident mistake is; logits need no clip.

    Args:
      logits: Logits `[..., num_classes]`; where one is not finite, all results are NaN.
    """
    with np.errstate(invalid="ignore"):
        result = special.log_softmax(logits.astype(np.float64), axis=-1)
    result[~np.isfinite(logits).all(axis=-1)] = np.nan
    return result


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """Returns the most probable class, `[...]`; `NO_CLASS` where a logit is not finite."""
    return np.where(np.isfinite(logits).all(axis=-1), np.argmax(logits, axis=-1), NO_CLASS)


class Classification(metric_types.Metric):
    """All of `components.metrics`, for every model, from one look at each example.

    TFMA's own metrics would each unpack, sort and bin the same predictions again, example by example. These
    share one tally, which works on some hundred examples at a time.

    Args:
      teacher: Name of the model with which the others are compared.
      name: Of the family; the metrics have names of their own.
    """

    def __init__(self, teacher: str, name: str = "classification") -> None:
        super().__init__(_computations, name=name, teacher=teacher)


def _computations(
    teacher: str, model_names: Sequence[str], name: str = ""
) -> metric_types.MetricComputations:
    """Says what TFMA has to compute: one tally over all models."""
    models = tuple(model_names)
    keys = [
        metric_types.MetricKey(name=metric, model_name=model)
        for model in models
        for metric in (*NAMES, CONFUSION_MATRIX, RELIABILITY)
    ]
    return [
        metric_types.MetricComputation(
            keys=keys,
            preprocessors=[_LabelsAndLogits()],
            combiner=_TallyFn(models=models, teacher=teacher),
        )
    ]


class _LabelsAndLogits(metric_types.Preprocessor):
    """Hands over examples as `components.evaluator.measure.analysis` extracts them, several at a time."""

    def process(self, extracts: dict[str, Any]) -> Iterator[Examples]:
        """Yields them."""
        yield Examples(
            extracts[constants.LABELS_KEY], extracts[constants.PREDICTIONS_KEY], extracts[HAVE_ONE_LABEL]
        )


class _TallyFn(beam.CombineFn):
    """Tallies the examples of a slice."""

    def __init__(self, *, models: Sequence[str], teacher: str) -> None:
        self._models = models
        self._teacher = teacher

    def create_accumulator(self) -> "Tally":
        return Tally(teacher=self._models.index(self._teacher))

    def add_input(self, tally: "Tally", examples: Examples) -> "Tally":
        tally.add(examples)
        return tally

    def merge_accumulators(self, tallies: Iterable["Tally"]) -> "Tally":
        first, *others = tallies
        for tally in others:
            first.merge(tally)
        return first

    def compact(self, tally: "Tally") -> "Tally":
        tally.flush()
        return tally

    def extract_output(self, tally: "Tally") -> dict[metric_types.MetricKey, Any]:
        results = {}
        for model, counts in zip(self._models, tally.counts(), strict=True):
            for name, value in _outputs(counts).items():
                results[metric_types.MetricKey(name=name, model_name=model)] = value
            for label in np.flatnonzero(~np.isnan(counts.areas)):
                key = metric_types.MetricKey(
                    name=AUC.name, model_name=model, sub_key=metric_types.SubKey(class_id=int(label))
                )
                results[key] = counts.areas[label]
        return results


def _outputs(counts: Counts) -> dict[str, Any]:
    """Returns what TFMA writes of a model; NaN where a metric is undefined or an output was not finite."""
    return {
        EXAMPLE_COUNT: counts.examples,
        **{metric.name: metric.compute(counts) for metric in METRICS},
        CONFUSION_MATRIX: _cells(counts.confusion),
        RELIABILITY: np.column_stack([counts.calibration, counts.confidence]),
    }


def _cells(matrix: np.ndarray) -> confusion.Matrices:
    """Puts a confusion matrix into TFMA's form, in which only the cells that hold an example take place."""
    cells = {
        confusion.MatrixEntryKey(int(label), int(named)): float(matrix[label, named])
        for label, named in zip(*np.nonzero(matrix), strict=True)
    }
    return confusion.Matrices({0.0: cells})


@dataclasses.dataclass
class Sums:
    """Sums over examples, each `[models]`."""

    examples: int
    right: np.ndarray
    cross_entropy: np.ndarray
    in_top_k: np.ndarray
    kl: np.ndarray
    agreed: np.ndarray
    agreed_where_right: np.ndarray
    teacher_right: int

    def __add__(self, other: Self) -> Self:
        mine, theirs = vars(self), vars(other)
        return type(self)(**{name: mine[name] + theirs[name] for name in mine})


class Tally:
    """What the metrics need to know of the examples of a slice, some megabytes however many these are.

    Its counts, and the areas under the curves, are the same in whatever parts and order the examples come.

    Args:
      teacher: Index of the teacher among the models.
    """

    def __init__(self, *, teacher: int) -> None:
        self._teacher = teacher
        self._waiting: list[Examples] = []
        self._num_waiting = 0
        self._sums: Sums | None = None
        self._num_models = self._num_classes = 0
        # Codes are (model, label, class named), (model, bin, is right), (model, class, bin, is label).
        self._confusion, self._calibration, self._scores = Histogram(), Histogram(), Histogram()
        self._halvings = 0  # Of the resolution of scores.

    def add(self, examples: Examples) -> None:
        """Adds examples."""
        self._waiting.append(examples)
        self._num_waiting += len(examples.labels)
        logits_of_each = examples.logits.shape[0] * examples.logits.shape[2]
        if self._num_waiting >= min(_BUFFER, _BUFFERED_LOGITS / logits_of_each):
            self.flush()

    def merge(self, other: "Tally") -> None:
        """Adds the examples of another tally of the same models."""
        for tally in (self, other):
            tally.flush()
        if other._sums is None:
            return
        self._sums = other._sums if self._sums is None else self._sums + other._sums
        self._num_models, self._num_classes = other._num_models, other._num_classes
        self._confusion.merge(other._confusion)
        self._calibration.merge(other._calibration)
        while self._halvings < other._halvings:
            self._halve_resolution()
        scores = other._scores  # The other stays as it is: Beam may go on with it.
        for _ in range(self._halvings - other._halvings):
            scores = scores.recoded(_halved)
        self._scores.merge(scores)
        self._keep_few_scores()

    def flush(self) -> None:
        """Takes in the examples that wait."""
        if not self._waiting:
            return
        labels = np.concatenate([examples.labels for examples in self._waiting])
        logits = np.concatenate([examples.logits for examples in self._waiting], axis=1)
        have_one_label = self._waiting[0].have_one_label
        self._waiting, self._num_waiting = [], 0
        self._num_models, _, self._num_classes = logits.shape
        log_probabilities = log_softmax(logits)
        classes = predicted_classes(logits)
        sums = self._sum(labels, log_probabilities, classes)
        self._sums = sums if self._sums is None else self._sums + sums
        self._count(labels, log_probabilities, classes, with_scores=not have_one_label)

    def _sum(self, labels: np.ndarray, log_probabilities: np.ndarray, classes: np.ndarray) -> Sums:
        """Sums over examples; `classes` is `[models, examples]`, `log_probabilities` has one axis more."""
        of_label = np.take_along_axis(log_probabilities, labels[np.newaxis, :, np.newaxis], axis=-1)
        teacher_logs, teacher_classes = log_probabilities[self._teacher], classes[self._teacher]
        teacher_right = teacher_classes == labels
        agreed = (classes == teacher_classes) & (classes != NO_CLASS)
        kl = np.sum(np.exp(teacher_logs) * (teacher_logs - log_probabilities), axis=-1)
        return Sums(
            examples=len(labels),
            right=np.sum(classes == labels, axis=1),
            cross_entropy=-np.sum(of_label[..., 0], axis=1),
            in_top_k=np.sum(np.sum(log_probabilities > of_label, axis=-1) < K, axis=1)
            - np.sum(classes == NO_CLASS, axis=1),
            kl=np.sum(kl, axis=1),
            agreed=np.sum(agreed, axis=1),
            agreed_where_right=np.sum(agreed & teacher_right, axis=1),
            teacher_right=int(np.sum(teacher_right)),
        )

    def _count(
        self, labels: np.ndarray, log_probabilities: np.ndarray, classes: np.ndarray, *, with_scores: bool
    ) -> None:
        models, examples = np.nonzero(classes != NO_CLASS)
        logs, classes, labels = (
            log_probabilities[models, examples],
            classes[models, examples],
            labels[examples],
        )
        self._confusion.add((models * self._num_classes + labels) * self._num_classes + classes)
        confidences = np.exp(logs.max(axis=-1))
        bins = calibration_bins(confidences)
        codes = (models * CALIBRATION_BINS + bins) * 2 + (classes == labels)
        self._calibration.add(codes, weights=confidences)
        if not with_scores:
            return
        is_label = labels[:, np.newaxis] == np.arange(self._num_classes)
        of_class = models[:, np.newaxis] * self._num_classes + np.arange(self._num_classes)
        bins = _score_bins(logs) >> self._halvings
        self._scores.add(((of_class * self._num_score_bins + bins) * 2 + is_label).ravel())
        self._keep_few_scores()

    @property
    def _num_score_bins(self) -> int:
        return _SCORE_BINS >> self._halvings

    def _keep_few_scores(self) -> None:
        most = max(_MOST_SCORES, _MOST_OF_CLASS * self._num_classes * self._num_models)
        while self._num_score_bins > 2 and self._scores.exceeds(most):
            self._halve_resolution()

    def _halve_resolution(self) -> None:
        self._scores = self._scores.recoded(_halved)
        self._halvings += 1

    def counts(self) -> list[Counts]:
        """Returns what is known of each model."""
        self.flush()
        if self._sums is None:
            return []
        return [self._counts_of(model, self._sums) for model in range(len(self._sums.right))]

    def _counts_of(self, model: int, sums: Sums) -> Counts:
        classes = self._num_classes
        bins = (CALIBRATION_BINS, 2)
        return Counts(
            examples=sums.examples,
            right=int(sums.right[model]),
            cross_entropy=float(sums.cross_entropy[model]),
            in_top_k=int(sums.in_top_k[model]),
            kl=float(sums.kl[model]),
            agreed=int(sums.agreed[model]),
            agreed_where_right=int(sums.agreed_where_right[model]),
            teacher_right=sums.teacher_right,
            confusion=self._confusion.dense(model, shape=(classes, classes)),
            calibration=self._calibration.dense(model, shape=bins),
            confidence=self._calibration.dense(model, shape=bins, weighted=True).sum(axis=1),
            areas=self._areas(model, is_finite=bool(np.isfinite(sums.cross_entropy[model]))),
        )

    def _areas(self, model: int, *, is_finite: bool) -> np.ndarray:
        """Returns the area under the ROC curve of each class against the rest, `[num_classes]`.

        NaN where a class has no examples or no counter-examples, or if an output was not finite.
        """
        areas = np.full(self._num_classes, np.nan)
        if not is_finite:
            return areas
        for label in range(self._num_classes):
            size = self._num_score_bins * 2
            start = (model * self._num_classes + label) * size
            codes, counts = self._scores.between(start, start + size)
            areas[label] = _area_of_codes(codes, counts)
        return areas


def area_under_curve(negatives: np.ndarray, positives: np.ndarray) -> float:
    """Returns the area under the ROC curve.

    Args:
      negatives: Number of counter-examples in each bin of the score, ascending.
      positives: Number of examples in each bin.

    Returns:
      The share of pairs in which the example has the higher score, a tie counting half; NaN without pairs.
    """
    below = np.cumsum(negatives) - negatives
    return ratio(float(np.sum(positives * (below + negatives / 2))), float(negatives.sum() * positives.sum()))


def _area_of_codes(codes: np.ndarray, counts: np.ndarray) -> float:
    """Returns the area under the ROC curve from counts of `(bin, is label)`."""
    _, place = np.unique(codes // 2, return_inverse=True)
    is_label = codes % 2 == 1
    return area_under_curve(np.bincount(place, counts * ~is_label), np.bincount(place, counts * is_label))


def _halved(codes: np.ndarray) -> np.ndarray:
    """Returns the codes of scores of half the resolution, in which the last bit is no part of the score."""
    return (codes >> 2 << 1) | (codes & 1)


def _score_bins(log_probabilities: np.ndarray) -> np.ndarray:
    """Returns the bin of the log-odds of each class against the rest."""
    with np.errstate(divide="ignore"):
        log_odds = log_probabilities - np.log(-np.expm1(np.minimum(log_probabilities, 0)))
    scaled = (np.clip(log_odds, -_SCORE_LIMIT, _SCORE_LIMIT) / _SCORE_LIMIT + 1) / 2 * _SCORE_BINS
    return np.minimum(scaled.astype(np.int64), _SCORE_BINS - 1)
