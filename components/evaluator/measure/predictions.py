"""The step of the pass over the test split in which the models predict."""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.utils.shared import Shared

from components.serving.servable import Servable


class Predict(beam.DoFn):
    """Adds the logits `[batch, num_classes]` of each model to the extracts of a batch.

    It takes the place of TFMA's own extractors of predictions, of which each knows one form of a model. A
    process loads each model once.

    Args:
      models: The models by name.
    """

    def __init__(self, models: Mapping[str, Servable]) -> None:
        self._models = dict(models)
        self._shared = Shared()

    def setup(self) -> None:
        """Takes the models that another thread of this process has loaded, if one has."""
        self._loaded = self._shared.acquire(lambda: _Loaded(self._models))

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields the extracts with the logits of each model, by its name."""
        images = list(extracts[tfma.FEATURES_KEY]["image"])
        logits = {name: model.predict(images) for name, model in self._loaded.models.items()}
        yield extracts | {tfma.PREDICTIONS_KEY: logits}


class _Loaded:
    """The models of a process, in an object to which there can be weak references, as `Shared` needs it."""

    def __init__(self, models: Mapping[str, Servable]) -> None:
        self.models = models


def logits_of(extracts: Mapping[str, Any], model: str) -> np.ndarray:
    """Returns the logits `[batch, num_classes]` of a model from the extracts of a batch."""
    return extracts[tfma.PREDICTIONS_KEY][model]
