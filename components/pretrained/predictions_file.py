"""A teacher's predictions as its user has written them, in a file of NumPy or of Parquet.

It holds an `id` and `logits` or `probabilities` for every image, in any order: as arrays of an `.npz` file,
or as columns of a `.parquet` file, the numbers as a list. An array `classes`, or a key `classes` with a JSON
list in the metadata of the Parquet schema, says which class each number is of. Nothing here imports Keras.
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from components.errors import InputError, first_few, first_line, suggest
from components.example_gen.image_files import printable
from components.models.outputs import SMALLEST_PROBABILITY, are_probabilities

_ID, _LOGITS, _PROBABILITIES, _CLASSES = "id", "logits", "probabilities", "classes"
_NPZ, _PARQUET = ".npz", ".parquet"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a teacher predicts.

    Attributes:
      path: The file.
      rows: The row of each example, by its id.
      logits: float32 `[examples, num_classes]`.
    """

    path: str
    rows: dict[bytes, int]
    logits: np.ndarray

    def of(self, ids: Sequence[bytes]) -> np.ndarray:
        """Returns the logits of examples by their ids, `[ids, num_classes]`."""
        return self.logits[[self.rows[each] for each in ids]]

    def check_covers(self, ids: Sequence[bytes]) -> int:
        """Returns the number of predictions for other images than these, by id.

        Raises:
          InputError: There is none for one of these.
        """
        missing = sorted(each.decode(errors="replace") for each in ids if each not in self.rows)
        if missing:
            raise InputError(
                f"teacher.predictions {self.path} lacks {len(missing):,} of the data's {len(ids):,} images: "
                f"{first_few(missing)}; predict these too, under these ids (the file's are such as "
                f"{', '.join(each.decode() for each in list(self.rows)[:3])})."
            )
        return len(self.rows) - len(ids)


def check_predictions(path: str) -> str:
    """Checks that there is a file of predictions, as far as its head tells.

    Args:
      path: The file.

    Returns:
      Which of `logits` and `probabilities` it holds.

    Raises:
      InputError: There is no such file.
    """
    place = pathlib.Path(path)
    if not place.is_file():
        siblings = [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []
        hint = suggest(place.name, siblings) or f"; give a {_NPZ} or {_PARQUET} file."
        raise InputError(f"teacher.predictions {path} is no file{hint}")
    with _explained(path):
        return _kind(_names(place), path=path)


def read_predictions(path: str, *, class_names: Sequence[str]) -> Predictions:
    """Reads and checks a file of predictions.

    Args:
      path: The file.
      class_names: Those of the data, in the order of the labels.

    Returns:
      The predictions. Probabilities have become logits by their logarithm; those below 1e-7 count as 1e-7.

    Raises:
      InputError: The file cannot be read, an id is there twice, a prediction is of another number of classes
        or not finite, or the numbers are not what they are called.
    """
    kind, place = check_predictions(path), pathlib.Path(path)
    with _explained(path):
        ids, values, classes = (_read_npz if place.suffix == _NPZ else _read_parquet)(place, kind)
        if not ids:
            raise ValueError("it holds no predictions")
    if classes is not None and classes != list(class_names):
        raise InputError(
            f"teacher.predictions {path} is of the classes {first_few(classes)}, but those of the data are "
            f"{first_few(class_names)}, in this order; put the {kind} into the order of the data."
        )
    rows = _rows(ids, path=path)
    values = _of_width(values, ids, kind=kind, width=len(class_names), path=path)
    _check_numbers(values, ids, kind=kind, path=path)
    if kind == _PROBABILITIES:
        values = np.log(np.maximum(values, SMALLEST_PROBABILITY))
    return Predictions(path, rows, values)


class _IdsError(Exception):
    """The ids are of another type than text, or some are missing."""


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Raises an InputError where a file is not what its name says."""
    try:
        yield
    except _IdsError as error:
        raise InputError(
            f"teacher.predictions {path} has {_ID} of {error}; they must be text, the ids that the data has."
        ) from error
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise InputError(
            f"teacher.predictions {path} cannot be read ({first_line(error)}); write it with numpy.savez, or "
            "as Parquet."
        ) from error


def _names(place: pathlib.Path) -> list[str]:
    """Returns the names of the arrays or columns in a file."""
    if place.suffix == _NPZ:
        if not zipfile.is_zipfile(place):
            raise ValueError("it holds no arrays with names")
        with np.load(place) as arrays:
            return list(arrays.files)
    if place.suffix == _PARQUET:
        return list(parquet.read_schema(place).names)
    raise InputError(f"teacher.predictions {place} must be a file called *{_NPZ} or *{_PARQUET}.")


def _kind(names: Sequence[str], *, path: str) -> str:
    """Returns which of logits and probabilities a file holds."""
    kinds = [kind for kind in (_LOGITS, _PROBABILITIES) if kind in names]
    if _ID not in names or len(kinds) != 1:
        raise InputError(
            f"teacher.predictions {path} holds {', '.join(names) or 'nothing'}; it must hold {_ID}, and "
            f"either {_LOGITS} or {_PROBABILITIES}."
        )
    return kinds[0]


def _read_npz(place: pathlib.Path, kind: str) -> tuple[list[str], np.ndarray, list[str] | None]:
    """Reads the ids, the values `[examples, width]` and, if they are told, the classes."""
    with np.load(place) as arrays:
        ids, values = _array(arrays, _ID), _array(arrays, kind)
        classes = _array(arrays, _CLASSES) if _CLASSES in arrays.files else None
    if ids.ndim != 1 or values.ndim != 2 or len(ids) != len(values):
        raise ValueError(f"{_ID} has shape {ids.shape} and {kind} {values.shape}, not [n] and [n, classes]")
    if ids.dtype.kind not in "US":
        raise _IdsError(ids.dtype)
    if classes is not None and classes.ndim != 1:
        raise ValueError(f"{_CLASSES} has shape {classes.shape}, not [classes]")
    return (
        ids.astype(str).tolist(),
        _as_float32(values),
        classes.astype(str).tolist() if classes is not None else None,
    )


def _array(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    try:
        return arrays[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        wanted = "numbers, .astype('float32')" if name in (_LOGITS, _PROBABILITIES) else "text, .astype(str)"
        raise ValueError(f"{name} holds Python's objects; make them {wanted}") from None


def _as_float32(values: np.ndarray) -> np.ndarray:
    if values.dtype == bool:
        raise ValueError("it holds true and false in the place of numbers")
    with np.errstate(over="ignore"):  # It becomes infinite, which is refused.
        return values.astype(np.float32)


def _read_parquet(place: pathlib.Path, kind: str) -> tuple[list[str], list[np.ndarray], list[str] | None]:
    """Reads the same, the values as one array for each example, which may differ in length."""
    table = parquet.read_table(place, columns=[_ID, kind])
    noted = (table.schema.metadata or {}).get(_CLASSES.encode())
    ids, column = table[_ID], table[kind]
    if ids.null_count:
        raise _IdsError(f"null in {ids.null_count:,} rows")
    if not (pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise _IdsError(ids.type)
    if not pa.types.is_nested(column.type):
        raise ValueError(f"{kind} holds {column.type}, not a list of numbers for each image")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = np.split(_as_float32(pc.list_flatten(column).to_numpy()), np.cumsum(lengths)[:-1])
    return ids.to_pylist(), values, _read_classes(noted) if noted else None


def _read_classes(noted: bytes) -> list[str]:
    classes = json.loads(noted)
    if not isinstance(classes, list):
        raise ValueError(f"{_CLASSES} is no list, but {classes!r}")
    return [str(each) for each in classes]


def _rows(ids: Sequence[str], *, path: str) -> dict[bytes, int]:
    rows = {printable(each).encode(): row for row, each in enumerate(ids)}
    if len(rows) < len(ids):
        doubled = [each for each, count in collections.Counter(ids).items() if count > 1]
        raise InputError(
            f"teacher.predictions {path} has {len(doubled):,} ids more than once: {first_few(doubled)}; give "
            "one prediction for each image."
        )
    return rows


def _of_width(
    values: Sequence[np.ndarray] | np.ndarray, ids: Sequence[str], *, kind: str, width: int, path: str
) -> np.ndarray:
    for each, row in zip(ids, values, strict=True):
        if len(row) != width:
            raise InputError(
                f"teacher.predictions {path} has {len(row)} {kind} for {each}, but the data has {width} "
                "classes; give one for each class, in the order of the data."
            )
    return np.asarray(values)


def _check_numbers(values: np.ndarray, ids: Sequence[str], *, kind: str, path: str) -> None:
    broken = _where(~np.isfinite(values).all(axis=-1), ids)
    if broken:
        raise InputError(
            f"teacher.predictions {path} has {kind} that are not finite for {len(broken):,} images: "
            f"{first_few(broken)}; mend what is NaN or infinite."
        )
    other = _where(~are_probabilities(values), ids)
    if kind == _PROBABILITIES and other:
        raise InputError(
            f"teacher.predictions {path} has probabilities that are not between 0 and 1, or do not add up to "
            f"1, for {len(other):,} images: {first_few(other)}; if they are logits, call them logits."
        )
    if kind == _LOGITS and not other:
        raise InputError(
            f"teacher.predictions {path} has logits that are between 0 and 1 and add up to 1 for every "
            "image; call them probabilities."
        )


def _where(condition: np.ndarray, ids: Sequence[str]) -> list[str]:
    return [each for each, holds in zip(ids, condition, strict=True) if holds]
