"""TFMA metrics of our own."""

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

LOGITS = "logits"


def cross_entropy(logits: np.ndarray, *, label: int) -> float:
    """Returns the cross-entropy of one example, in nats.

    Args:
      logits: Logits `[num_classes]`.
      label: The true class.

    Returns:
      `-log(softmax(logits)[label])`, which stays finite for every finite logit; NaN if one is not.
    """
    with np.errstate(invalid="ignore"):
        shifted = logits.astype(np.float64) - np.max(logits)
        return float(np.log(np.sum(np.exp(shifted))) - shifted[label])


class CrossEntropy(metric_types.Metric):
    """Mean cross-entropy of the labels, from the logits in float64.

    Keras clips probabilities at 1e-7, which hides how wrong a confident mistake is; logits need no clip.
    """

    def __init__(self, name: str = "cross_entropy") -> None:
        super().__init__(_computations, name=name)


def _computations(name: str, model_names: list[str]) -> metric_types.MetricComputations:
    """Says what TFMA has to compute: one mean per model."""
    keys = [metric_types.MetricKey(name=name, model_name=model_name) for model_name in model_names]
    return [
        metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=_MeanCrossEntropy(key))
        for key in keys
    ]


class _MeanCrossEntropy(beam.CombineFn):
    """Sums the cross-entropy and counts the examples."""

    def __init__(self, key: metric_types.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> tuple[float, int]:
        return 0.0, 0

    def add_input(
        self, accumulator: tuple[float, int], element: metric_types.StandardMetricInputs
    ) -> tuple[float, int]:
        total, count = accumulator
        logits = element.get_predictions(self._key.model_name)[LOGITS]
        label = int(np.ravel(element.get_labels(self._key.model_name))[0])
        return total + cross_entropy(logits, label=label), count + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        totals, counts = zip(*accumulators, strict=True)
        return sum(totals), sum(counts)

    def extract_output(self, accumulator: tuple[float, int]) -> dict[metric_types.MetricKey, float]:
        total, count = accumulator
        return {self._key: total / count}
