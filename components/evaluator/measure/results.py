"""What TFMA has written of a model, read again."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.errors import InputError
from components.evaluator.measure.slices import CLASS, LABEL, Slice, to_text
from components.evaluator.measure.tally import CONFUSION_MATRIX, NAMES, RELIABILITY
from components.metrics import AUC, CALIBRATION_BINS


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


def read_quality(output: str, *, model: str, class_names: Sequence[str]) -> MeasuredQuality:
    """Reads how good a model is.

    Args:
      output: The directory to which `components.evaluator.measure.analysis.analyse` has written.
      model: Name of the model.
      class_names: In the order of the labels.

    Returns:
      How good it is.

    Raises:
      InputError: There were no examples.
    """
    results = dict(tfma.load_eval_result(output, model_name=model).slicing_metrics)
    if not results:
        raise InputError("The test split holds no examples; give it at least one image.")
    overall = results[()][""]
    metrics: dict[Slice | None, dict[str, float]] = {}
    for key, outputs in results.items():
        numbers = {name: _number(outputs[""][""][name]) for name in NAMES}
        if not key:
            metrics[None] = numbers
            continue
        ((feature, value),) = key
        if feature == LABEL:
            auc = _number(overall.get(f"classId:{value}", {}).get(AUC.name, {}))
            metrics[CLASS, class_names[value]] = numbers | {AUC.name: auc}
        else:
            metrics[feature, to_text(value)] = numbers
    return MeasuredQuality(
        metrics=metrics,
        confusion=_confusion(overall[""][CONFUSION_MATRIX], num_classes=len(class_names)),
        reliability=_reliability(overall[""][RELIABILITY]),
    )


def _number(value: Mapping[str, float]) -> float:
    return float(value.get("doubleValue", math.nan))


def _confusion(value: Mapping[str, Any], *, num_classes: int) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for cell in value["multiClassConfusionMatrixAtThresholds"]["matrices"][0].get("entries", []):
        # What is 0 is not written.
        label, named = (cell.get(key, 0) for key in ("actualClassId", "predictedClassId"))
        matrix[label, named] = round(cell["numWeightedExamples"])
    return matrix


def _reliability(value: Mapping[str, Any]) -> list[dict[str, float]]:
    array = np.reshape(value["arrayValue"]["float64Values"], value["arrayValue"]["shape"])
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
