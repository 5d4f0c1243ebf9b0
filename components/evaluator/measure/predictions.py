"""The step of the pass over the test split in which the models predict."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.utils.shared import Shared

from components.errors import InputError
from components.serving.servable import Servable
from components.storage.copies import local_copy
from components.teacher_predictions.store import read_by_id


@dataclasses.dataclass(frozen=True)
class Stored:
    """A model that is known by its stored predictions alone. They are read where they are first used.

    Attributes:
      uri: Where they lie.
      files: The prediction files, by their paths or URIs.
      num_classes: Width of the logits.
    """

    uri: str
    files: Sequence[str]
    num_classes: int

    def read(self) -> dict[bytes, np.ndarray]:
        """Returns the logits of every example, `[num_classes]`, by its id."""
        return read_by_id([str(local_copy(file)) for file in self.files], num_classes=self.num_classes)


class Predict(beam.DoFn):
    """Adds the logits `[batch, num_classes]` of each model to the extracts of a batch.

    It takes the place of TFMA's own extractors of predictions, of which each knows one form of a model. A
    process loads each model once.

    Args:
      models: The models by name.
    """

    def __init__(self, models: Mapping[str, Servable | Stored]) -> None:
        self._models = dict(models)
        self._shared = Shared()

    def setup(self) -> None:
        """Takes the models that another thread of this process has loaded, if one has."""
        self._loaded = self._shared.acquire(lambda: _Loaded(self._models))

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields the extracts with the logits of each model, by its name."""
        features = extracts[tfma.FEATURES_KEY]
        logits = {name: self._loaded.predict(name, features) for name in self._models}
        yield extracts | {tfma.PREDICTIONS_KEY: logits}


class _Loaded:
    """The models of a process, in an object to which there can be weak references, as `Shared` needs it."""

    def __init__(self, models: Mapping[str, Servable | Stored]) -> None:
        self._servables = {name: each for name, each in models.items() if isinstance(each, Servable)}
        self._stored = {name: each.read() for name, each in models.items() if isinstance(each, Stored)}

    def predict(self, name: str, features: Mapping[str, Any]) -> np.ndarray:
        """Returns the logits `[batch, num_classes]` of a model for a batch of examples."""
        if name in self._servables:
            return self._servables[name].predict(list(features["image"]))
        try:
            return np.stack([self._stored[name][each] for each in features["id"]])
        except KeyError as error:
            raise InputError(
                f"The stored predictions of the {name} are of other examples: there are none for "
                f"{error.args[0].decode()}; delete them and run again."
            ) from error


def logits_of(extracts: Mapping[str, Any], model: str) -> np.ndarray:
    """Returns the logits `[batch, num_classes]` of a model from the extracts of a batch."""
    return extracts[tfma.PREDICTIONS_KEY][model]
