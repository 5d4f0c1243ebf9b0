"""Test images on which the models differ, to be shown."""

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from PIL import Image

from components.evaluator.measure.predictions import logits_of
from components.evaluator.measure.slices import LABEL
from components.evaluator.measure.tally import log_softmax, predicted_classes
from components.layout import DISAGREEMENTS_FILE
from components.storage.files import read_json
from components.storage.uri import join

# How many are kept.
MAX_DISAGREEMENTS = 24


class _Disagreement(NamedTuple):
    """An image on which a model differs from the teacher; the logits are `[num_classes]` by model."""

    id: bytes
    label: int
    logits: dict[str, np.ndarray]
    pixels: bytes


class KeepDisagreements(beam.PTransform):
    """Keeps some images on which a model differs from the teacher, as one object for `disagreements.json`.

    Args:
      models: Names of the models.
      teacher: Name of the teacher.
      class_names: In the order of the labels.
      image_shape: `(height, width, channels)` of the packed pixels.
    """

    def __init__(
        self,
        *,
        models: Sequence[str],
        teacher: str,
        class_names: Sequence[str],
        image_shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self._models, self._teacher = list(models), teacher
        self._class_names, self._image_shape = list(class_names), image_shape

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        """Returns the object."""
        return (
            extracts
            | "Disagree" >> beam.FlatMap(_find, models=self._models, teacher=self._teacher)
            | "Sample" >> beam.combiners.Top.Smallest(MAX_DISAGREEMENTS, key=_rank)
            | "Describe"
            >> beam.Map(_describe_all, class_names=self._class_names, image_shape=self._image_shape)
        )


def read_disagreements(evaluation_uri: str) -> list[dict[str, Any]]:
    """Reads the images on which the models differ from an evaluation."""
    images: list[dict[str, Any]] = read_json(join(evaluation_uri, DISAGREEMENTS_FILE))["images"]
    return images


def _find(extracts: dict[str, Any], *, models: list[str], teacher: str) -> Iterator[_Disagreement]:
    features = extracts[tfma.FEATURES_KEY]
    classes = {name: predicted_classes(logits_of(extracts, name)) for name in models}
    differs = np.any([classes[name] != classes[teacher] for name in models], axis=0)
    for row in np.flatnonzero(differs):
        yield _Disagreement(
            id=features["id"][row],
            label=int(np.ravel(features[LABEL])[row]),
            logits={name: logits_of(extracts, name)[row] for name in models},
            pixels=features["image"][row],
        )


def _rank(disagreement: _Disagreement) -> bytes:
    """Ranks as good as at random, and the same in every run."""
    return hashlib.sha256(disagreement.id).digest()


def _describe_all(
    disagreements: list[_Disagreement], *, class_names: list[str], image_shape: tuple[int, int, int]
) -> dict[str, Any]:
    return {
        "images": [
            {
                "id": each.id.decode(errors="replace"),
                "label": class_names[each.label],
                "predictions": {
                    name: _describe_prediction(logits, class_names) for name, logits in each.logits.items()
                },
                "image": _data_url(each.pixels, image_shape),
            }
            for each in disagreements
        ]
    }


def _describe_prediction(logits: np.ndarray, class_names: list[str]) -> dict[str, Any]:
    if not np.isfinite(logits).all():
        return {"class": None, "probability": None}
    return {
        "class": class_names[int(np.argmax(logits))],
        "probability": float(np.exp(log_softmax(logits).max())),
    }


def _data_url(pixels: bytes, image_shape: tuple[int, int, int]) -> str:
    array = np.frombuffer(pixels, np.uint8).reshape(image_shape)
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if image_shape[2] == 1 else array).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
