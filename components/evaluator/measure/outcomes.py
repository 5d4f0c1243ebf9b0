"""What each model predicts for each test example: models are compared by it on the same examples."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from components.evaluator.measure.tally import log_softmax, predicted_classes

_CLASS, _CONFIDENCE, _LOSS = "class", "confidence", "cross_entropy"


def table_schema(*, models: Sequence[str], features: Sequence[str]) -> pa.Schema:
    """Describes the table of outcomes.

    Args:
      models: Names of the models, each of which has the columns `MODEL:class` (`NO_CLASS` where its outputs
        are not finite), `MODEL:confidence` (the probability of that class) and `MODEL:cross_entropy`.
      features: Names of the features that slices are made of, as text.

    Returns:
      The columns `id`, `label`, one for each feature, and those of the models.
    """
    columns = [("id", pa.binary()), ("label", pa.int32())]
    columns += [(f"feature:{feature}", pa.string()) for feature in features]
    for model in models:
        columns += [(f"{model}:{_CLASS}", pa.int32()), (f"{model}:{_CONFIDENCE}", pa.float64())]
        columns += [(f"{model}:{_LOSS}", pa.float64())]
    return pa.schema(columns)


def to_table(
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    features: Mapping[str, Sequence[str]],
    logits: Mapping[str, np.ndarray],
) -> pa.Table:
    """Puts a batch into a table.

    Args:
      ids: `[batch]` of bytes.
      labels: `[batch]` of whole numbers.
      features: Values `[batch]`, as text, by feature.
      logits: `[batch, num_classes]` by model.

    Returns:
      The table; see `table_schema`.
    """
    columns: list[Any] = [list(ids), labels, *features.values()]
    for each in logits.values():
        logs = log_softmax(each)
        columns += [predicted_classes(each), np.exp(logs.max(axis=-1))]
        columns += [-np.take_along_axis(logs, labels[:, np.newaxis], axis=-1)[:, 0]]
    schema = table_schema(models=list(logits), features=list(features))
    return pa.table([pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)], schema)


class Outcomes:
    """The outcomes of a test split, in the order of the ids.

    Args:
      table: Of the columns that `table_schema` names.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table.sort_by("id")

    @classmethod
    def read(cls, path: pathlib.Path) -> "Outcomes":
        """Reads a Parquet file."""
        return cls(pa.parquet.read_table(path))

    def __len__(self) -> int:
        return self._table.num_rows

    @property
    def labels(self) -> np.ndarray:
        """The label of each example, `[examples]`."""
        return self._column("label")

    def named(self, model: str) -> np.ndarray:
        """The class that a model names, or `NO_CLASS`, `[examples]`."""
        return self._column(f"{model}:{_CLASS}")

    def right(self, model: str) -> np.ndarray:
        """Whether a model is right, bool `[examples]`."""
        return self.named(model) == self.labels

    def losses(self, model: str) -> np.ndarray:
        """A model's cross-entropy in nats, `[examples]`; NaN where its outputs are not finite."""
        return self._column(f"{model}:{_LOSS}")

    def where(self, feature: str, value: str) -> np.ndarray:
        """Whether a feature of an example has a value, given as text, bool `[examples]`."""
        return self._column(f"feature:{feature}") == value

    def _column(self, name: str) -> np.ndarray:
        return self._table[name].to_numpy()
