"""The metrics of a classifier: one table, from which all that names, computes or shows a metric follows.

A metric is computed from counts over examples, so that it needs one look at each of them. Nothing here
imports more than NumPy: configurations are checked by it.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np

# The class of an example on which a model gives anything but finite numbers.
NO_CLASS = -1
CALIBRATION_BINS = 15
# The top-k accuracy is measured where there are more classes than this.
K, MANY_CLASSES = 5, 10

MetricUnit = Literal["share", "nats", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What is known of a model on the examples of a slice.

    Attributes:
      examples: Their number.
      right: On how many the model names the label.
      cross_entropy: The sum of the cross-entropies, in nats; NaN if an output was not finite.
      in_top_k: On how many the label is among the `K` most probable classes.
      kl: The sum of the Kullback-Leibler divergences from the teacher, in nats.
      agreed: On how many the model names the teacher's class.
      agreed_where_right: On how many of those the teacher is right.
      teacher_right: On how many examples the teacher is right.
      confusion: Examples by label (row) and class named (column), `[num_classes, num_classes]`.
      calibration: Examples by confidence, and by whether the model is right, `[CALIBRATION_BINS, 2]`.
      confidence: The sum of the confidences in each bin, `[CALIBRATION_BINS]`.
      areas: The area under the ROC curve of each class against the rest, `[num_classes]`; NaN where it is
        undefined.
    """

    examples: int
    right: int
    cross_entropy: float
    in_top_k: int
    kl: float
    agreed: int
    agreed_where_right: int
    teacher_right: int
    confusion: np.ndarray
    calibration: np.ndarray
    confidence: np.ndarray
    areas: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Whether every output was finite."""
        return bool(np.isfinite(self.cross_entropy))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that says how good a model is.

    Attributes:
      name: Its key in `summary.json` and in the configuration.
      description: What it is, in a sentence.
      heading: Of its column in tables.
      unit: A share of 1, nats, or none.
      decimals: With which a table shows it: of the percentage for a share shown as one.
      as_percentage: Whether a table shows it as a percentage.
      better: Whether it is good to be `high` or `low`.
      per_class: Whether it means something for the examples of one class by themselves.
      is_headline: Whether the terminal shows it after a run.
      compute: Its value from counts; NaN where it is undefined.
    """

    name: str
    description: str
    heading: str
    unit: MetricUnit
    better: Literal["high", "low"]
    compute: Callable[[Counts], float]
    decimals: int = 1
    as_percentage: bool = True
    per_class: bool = True
    is_headline: bool = False


def _accuracy(counts: Counts) -> float:
    return counts.right / counts.examples


def _cross_entropy(counts: Counts) -> float:
    return counts.cross_entropy / counts.examples


def _calibration_error(counts: Counts) -> float:
    """Guo et al., "On Calibration of Modern Neural Networks", 2017, https://arxiv.org/abs/1706.04599."""
    if not counts.is_finite:
        return np.nan
    gaps = np.abs(counts.confidence - counts.calibration[:, 1])
    return float(gaps.sum() / counts.calibration.sum())


def _macro_f1(counts: Counts) -> float:
    """Averages F1 over the classes that occur among the labels."""
    if not counts.is_finite:
        return np.nan
    present = counts.confusion.sum(axis=1) > 0
    return float(f1_scores(counts.confusion)[present].mean())


def _auc(counts: Counts) -> float:
    defined = counts.areas[~np.isnan(counts.areas)]
    return float(defined.mean()) if len(defined) else np.nan


def _top_k_accuracy(counts: Counts) -> float:
    return counts.in_top_k / counts.examples if len(counts.confusion) > MANY_CLASSES else np.nan


def _agreement(counts: Counts) -> float:
    return counts.agreed / counts.examples


def _agreement_where_right(counts: Counts) -> float:
    return ratio(counts.agreed_where_right, counts.teacher_right)


def _agreement_where_wrong(counts: Counts) -> float:
    return ratio(counts.agreed - counts.agreed_where_right, counts.examples - counts.teacher_right)


def _kl(counts: Counts) -> float:
    return counts.kl / counts.examples


ACCURACY = Metric(
    name="accuracy",
    description="Share of images whose most probable class is the label.",
    heading="Accuracy",
    unit="share",
    better="high",
    compute=_accuracy,
    decimals=2,
    is_headline=True,
)
TOP_K_ACCURACY = Metric(
    name="top_k_accuracy",
    description="Share of images whose label is among the k most probable classes; null up to ten classes.",
    heading=f"Top {K}",
    unit="share",
    better="high",
    compute=_top_k_accuracy,
    per_class=False,
)
CROSS_ENTROPY = Metric(
    name="cross_entropy",
    description="Mean of -log p(label), in nats.",
    heading="Cross-entropy",
    unit="nats",
    better="low",
    compute=_cross_entropy,
    decimals=4,
    as_percentage=False,
    is_headline=True,
)
# Of a class, by itself, it is that of the class against the rest.
AUC = Metric(
    name="auc",
    description="One-vs-rest area under the ROC curve, averaged over the classes where it is defined.",
    heading="AUC",
    unit="share",
    better="high",
    compute=_auc,
    decimals=4,
    as_percentage=False,
)

# In the order of the tables.
METRICS = (
    ACCURACY,
    TOP_K_ACCURACY,
    CROSS_ENTROPY,
    Metric(
        name="expected_calibration_error",
        description=f"Mean distance between confidence and accuracy over {CALIBRATION_BINS} equal bins, "
        "weighted by images.",
        heading="Calibration error",
        unit="share",
        better="low",
        compute=_calibration_error,
    ),
    Metric(
        name="macro_f1",
        description="Mean F1 over the classes that occur among the labels.",
        heading="Macro F1",
        unit="share",
        better="high",
        compute=_macro_f1,
        decimals=4,
        as_percentage=False,
        per_class=False,
    ),
    AUC,
    Metric(
        name="agreement_with_teacher",
        description="Share of images for which model and teacher name the same class.",
        heading="Agrees with teacher",
        unit="share",
        better="high",
        compute=_agreement,
    ),
    Metric(
        name="agreement_where_teacher_right",
        description="Agreement with the teacher on the images that the teacher gets right.",
        heading="… where it is right",
        unit="share",
        better="high",
        compute=_agreement_where_right,
    ),
    Metric(
        name="agreement_where_teacher_wrong",
        description="Agreement with the teacher on the images that the teacher gets wrong.",
        heading="… where it is wrong",
        unit="share",
        better="low",
        compute=_agreement_where_wrong,
    ),
    Metric(
        name="kl_from_teacher",
        description="Mean of KL(teacher || model), in nats.",
        heading="KL from teacher",
        unit="nats",
        better="low",
        compute=_kl,
        decimals=4,
        as_percentage=False,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def calibration_bins(confidences: np.ndarray) -> np.ndarray:
    """Returns the index of each confidence, in [0, 1], among `CALIBRATION_BINS` equal bins."""
    return np.minimum((confidences * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """Returns the F1 of each class; NaN for one that is neither a label nor named.

    Args:
      confusion: Examples by label (row) and class named (column).
    """
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 2 * np.diag(confusion) / both


def ratio(part: float, whole: float) -> float:
    """Returns a part over a whole; NaN where the whole is 0."""
    return part / whole if whole else np.nan
