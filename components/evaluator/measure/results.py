"""What TFMA has written of the models, read again."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2
from tensorflow_model_analysis.slicer import slicer_lib as slicer

from components.errors import InputError
from components.evaluator.measure.slices import CLASS, LABEL, Slice, to_text
from components.evaluator.measure.tally import CONFUSION_MATRIX, NAMES, RELIABILITY
from components.metrics import AUC, CALIBRATION_BINS

_ALL = None  # In the place of a class: a metric of all of them.

_Values = dict[tuple[str, int | None], metrics_for_slice_pb2.MetricValue]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredQuality:
    """How good a model is.

    Attributes:
      metrics: By slice, of which None is all examples and `("class", NAME)` those of a class, whose AUC is
        that of the class against the rest of all examples.
      confusion: Examples by label (row) and class named (column), `[num_classes, num_classes]`.
      reliability: For each of `CALIBRATION_BINS` bins of the confidence: its ends `low` and `high`, `count`,
        and the mean `confidence` and `accuracy`, NaN where the bin is empty.
    """

    metrics: Mapping[Slice | None, Mapping[str, float]]
    confusion: np.ndarray
    reliability: list[dict[str, float]]


def read_quality(output: str, *, class_names: Sequence[str]) -> dict[str, MeasuredQuality]:
    """Reads how good the models are.

    Args:
      output: The directory to which `components.evaluator.measure.analysis.analyse` has written.
      class_names: In the order of the labels.

    Returns:
      How good each is, by its name.

    Raises:
      InputError: There were no examples.
    """
    # `tfma.load_eval_result` makes dictionaries of all of it, for each model again: seconds for ten classes.
    slices = {
        slicer.deserialize_slice_key(each.slice_key): _by_model(each) for each in tfma.load_metrics(output)
    }
    if not slices:
        raise InputError("The test split holds no examples; give it at least one image.")
    return {
        model: _quality({key: values[model] for key, values in slices.items()}, class_names=class_names)
        for model in slices[()]
    }


def _by_model(metrics: tfma.MetricsForSlice) -> dict[str, _Values]:
    """Returns what TFMA has written of a slice: for each model, by the metric's name and class, or `_ALL`."""
    values: dict[str, _Values] = collections.defaultdict(dict)
    for each in metrics.metric_keys_and_values:
        if each.key.is_diff:  # The lead over the baseline, under the same name.
            continue
        of = each.key.sub_key.class_id.value if each.key.HasField("sub_key") else _ALL
        values[each.key.model_name][each.key.name, of] = each.value
    return values


def _quality(slices: Mapping[Any, _Values], *, class_names: Sequence[str]) -> MeasuredQuality:
    overall = slices[()]
    metrics: dict[Slice | None, dict[str, float]] = {}
    for key, values in slices.items():
        numbers = {name: _number(values[name, _ALL]) for name in NAMES}
        if not key:
            metrics[None] = numbers
            continue
        ((feature, value),) = key
        if feature == LABEL:
            auc = overall.get((AUC.name, value))
            numbers[AUC.name] = math.nan if auc is None else _number(auc)
            metrics[CLASS, class_names[value]] = numbers
        else:
            metrics[feature, to_text(value)] = numbers
    return MeasuredQuality(
        metrics=metrics,
        confusion=_confusion(overall[CONFUSION_MATRIX, _ALL], num_classes=len(class_names)),
        reliability=_reliability(overall[RELIABILITY, _ALL]),
    )


def _number(value: metrics_for_slice_pb2.MetricValue) -> float:
    return value.double_value.value if value.HasField("double_value") else math.nan


def _confusion(value: metrics_for_slice_pb2.MetricValue, *, num_classes: int) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for cell in value.multi_class_confusion_matrix_at_thresholds.matrices[0].entries:
        matrix[cell.actual_class_id, cell.predicted_class_id] = round(cell.num_weighted_examples)
    return matrix


def _reliability(value: metrics_for_slice_pb2.MetricValue) -> list[dict[str, float]]:
    array = np.reshape(value.array_value.float64_values, value.array_value.shape)
    counts, right, confidence = array[:, 0] + array[:, 1], array[:, 1], array[:, 2]
    with np.errstate(invalid="ignore"):
        return [
            {
                "low": index / CALIBRATION_BINS,
                "high": (index + 1) / CALIBRATION_BINS,
                "count": int(counts[index]),
                "confidence": float(confidence[index] / counts[index]),
                "accuracy": float(right[index] / counts[index]),
            }
            for index in range(CALIBRATION_BINS)
        ]
