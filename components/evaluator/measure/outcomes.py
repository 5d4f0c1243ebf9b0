"""What each model predicts for each test example: models are compared by it on the same examples."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset

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


# As Beam calls the files of a pass when all of them are there; before, they lie in a folder beside.
_FINISHED = "part-*-of-*.parquet"
# Rows that are in memory at a time, of the columns that are asked for.
_ROWS = 65_536


@dataclasses.dataclass(frozen=True)
class Where:
    """Some of the examples: those whose column, `label` or `feature:NAME`, has a value."""

    column: str
    value: int | str


class Outcomes:
    """The outcomes of a test split, which are read piece by piece, each time that something is asked.

    What is said of them does not depend on their order.

    Args:
      source: Of the columns that `table_schema` names.
    """

    def __init__(self, source: pyarrow.dataset.Dataset) -> None:
        self._source = source

    @classmethod
    def read(cls, directory: pathlib.Path) -> "Outcomes":
        """Opens the finished Parquet files in a directory, which have to stay where they are.

        A pass that was begun anew, when it had lost a worker, may leave two sets of files there: each that is
        whole has all outcomes.

        Raises:
          FileNotFoundError: None is.
        """
        sets: dict[int, list[str]] = {}
        for path in sorted(directory.glob(_FINISHED)):
            sets.setdefault(int(path.stem.rpartition("-")[2]), []).append(str(path))
        whole = [files for number, files in sets.items() if len(files) == number]
        if not whole:
            raise FileNotFoundError(f"there are no whole outcomes in {directory}")
        return cls(pyarrow.dataset.dataset(whole[0], format="parquet"))

    def __len__(self) -> int:
        return int(self._source.count_rows())

    def label_counts(self, num_classes: int) -> np.ndarray:
        """Counts the examples of each label, `[num_classes]`."""
        counts = np.zeros(num_classes, np.int64)
        for (labels,) in self._pieces(["label"], where=None):
            counts += np.bincount(labels, minlength=num_classes)
        return counts

    def right(self, *models: str, where: Where | None = None) -> np.ndarray:
        """Counts the examples by which of some models are right.

        Args:
          *models: Their names.
          where: Of which examples; None is of all.

        Returns:
          An array of as many axes, each of length 2: `counts[1, 0]` are those that of two models the first
          alone is right about.
        """
        counts = np.zeros((2,) * len(models), np.int64)
        columns = ["label", *(f"{model}:{_CLASS}" for model in models)]
        for labels, *named in self._pieces(columns, where=where):
            np.add.at(counts, tuple((each == labels).astype(np.int64) for each in named), 1)
        return counts

    def mean_loss(self, model: str) -> float:
        """Returns a model's mean cross-entropy in nats; NaN where its outputs are not finite."""
        pieces = self._pieces([f"{model}:{_LOSS}"], where=None)
        return math.fsum(loss for (losses,) in pieces for loss in losses.tolist()) / len(self)

    def loss_differences(
        self, model: str, *, baseline: str, where: Where | None = None
    ) -> Iterator[np.ndarray]:
        """Yields, piece by piece, by how much a model's cross-entropy of each example is above another's."""
        for losses, others in self._pieces([f"{model}:{_LOSS}", f"{baseline}:{_LOSS}"], where=where):
            yield losses - others

    def _pieces(self, columns: Sequence[str], *, where: Where | None) -> Iterator[list[np.ndarray]]:
        """Yields some columns of a piece of the table at a time."""
        batches = self._source.to_batches(
            columns=list(columns),
            filter=where and pyarrow.dataset.field(where.column) == where.value,
            batch_size=_ROWS,
            batch_readahead=1,
            fragment_readahead=1,
        )
        for batch in batches:
            yield [batch[name].to_numpy(zero_copy_only=False) for name in columns]
