"""A list of images and their labels: CSV, TSV or Parquet, here or at a URL."""

import csv
import dataclasses
import functools
import hashlib
import io
import math
import pathlib
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from components.errors import InputError, first_line, suggest
from components.example_gen import image_files, split_names, splitting
from components.example_gen.source import NO_LABEL, Listing, Record, Skipped, Source, SourceSettings
from components.example_gen.splitting import SplitFractions
from components.files import expand_user, is_there
from components.layout import SPLITS

SUFFIXES = (".csv", ".tsv", ".parquet")

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
# The columns, by the keys that name them, and where none is named by their usual names.
_USUAL_NAMES = {
    "path_column": (
        "path",
        "file_name",
        "filename",
        "file",
        "image",
        "image_path",
        "filepath",
        "image_id",
        "id",
    ),
    "label_column": ("label", "class", "target", "category", "class_name"),
    "split_column": ("split",),
    "sample_weight": (),
}
_NEEDED = ("path_column", "label_column")

Name = Annotated[str, Field(min_length=1)]
Columns = Mapping[str, Sequence[str]]


class ImageListData(SourceSettings):
    """A list with a row for each image; or a folder with `metadata.csv` in it, or in its split folders.

    `path` is a file or a URL that fsspec reads. The paths in the list are relative to `root`; None is the
    folder of the list. A column that is not named is found by its usual names. `sample_weight` names a column
    of numbers that each example's loss is multiplied by in training.
    """

    location_key: ClassVar[str] = "path"

    source: Literal["image_list"]
    path: Name
    root: Name | None = None
    path_column: Name | None = None
    label_column: Name | None = None
    split_column: Name | None = None
    sample_weight: Name | None = None
    split_fractions: SplitFractions = SplitFractions()

    @property
    def has_weights(self) -> bool:
        """Whether each example has a weight."""
        return self.sample_weight is not None

    def make_source(self) -> "ImageListSource":
        """Returns the list; nothing is read yet."""
        return ImageListSource(self)


@dataclasses.dataclass(frozen=True)
class Row:
    """An image of the list.

    Attributes:
      id: Its path as the list has it, below the split folder that the list lies in.
      location: Where it is: a path or a URL.
      class_name: The name of its class; empty if there is none.
      weight: How much it counts in training, if the list says so.
    """

    id: str
    location: str
    class_name: str
    weight: float | None


@dataclasses.dataclass(frozen=True)
class _Contents:
    """What the lists say.

    Attributes:
      rows: Those of each split, ordered by a hash of their ids.
      held_out: The splits that the lists do not name, and which are held out of train.
      has_splits: Whether they name any.
      is_renamed: Whether the test split is what they call validation.
      digest: A hash of their bytes.
    """

    rows: Mapping[str, Sequence[Row]]
    held_out: Sequence[str]
    has_splits: bool
    is_renamed: bool
    digest: str


@dataclasses.dataclass(frozen=True)
class ImageListSource(Source):
    """The images of a list; those that are not there are reported as skipped.

    A split that the list does not name is held out of train, as in a folder of images.
    """

    settings: ImageListData

    def __reduce__(self) -> tuple[Any, ...]:
        """Leaves what was read out of a pickle."""
        return type(self), (self.settings,)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, sorted; numbers by their value."""
        splits = SPLITS if self.settings.labels else ("test",)
        names = {row.class_name for split in splits for row in self._contents.rows[split]}
        are_numbers = all(name.isdecimal() for name in names)
        return tuple(sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)))

    def check(self) -> None:
        """Refuses a list that cannot be read, lacks columns, labels or classes, or names an image twice."""
        rows = self._contents.rows
        self._check_paths([row for split in SPLITS for row in rows[split]])
        splitting.check_none_empty({split: len(rows[split]) for split in SPLITS}, fractions=self._fractions)
        places = {row.id: posixpath.normpath(row.location) for split in SPLITS for row in rows[split]}
        counts = Counter(posixpath.normpath(row.location) for split in SPLITS for row in rows[split])
        for name, place in places.items():
            if counts[place] > 1:
                raise InputError(f"{self._given}, which names {name!r} {counts[place]} times; keep one row.")
        for split in SPLITS:
            missing = [row.id for row in rows[split] if not row.class_name]
            if missing and (self.settings.labels or split == "test"):
                raise InputError(
                    f"{self._given}, in which {len(missing)} images of the {split} split have no label, "
                    f"{missing[0]!r} among them; add the labels, or remove the rows."
                )
        fraction = _find_fraction(self.class_names)
        if fraction:
            raise InputError(
                f"data.label_column: the labels in {self.settings.path!r} are numbers such as {fraction!r}, "
                "which are no classes; name a column of classes."
            )
        if len(self.class_names) < 2:
            raise InputError(
                f"{self._given}, which names only the class {self.class_names[0]!r}; a classifier needs at "
                "least two."
            )

    def fingerprint(self) -> str:
        """Returns a hash of the lists, and of the size and time of change of each image on this machine."""
        digest = hashlib.sha256(self._contents.digest.encode())
        for split in SPLITS:
            for row in self._contents.rows[split]:
                file = _as_file(row.location)
                if file and is_there(file):
                    status = file.stat()
                    digest.update(f"{row.id!r} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def notes(self) -> list[str]:
        """Says what is held out where the list names some of the splits, and which of them is another."""
        contents, notes = self._contents, []
        if contents.held_out and contents.has_splits:
            notes.append(
                split_names.describe_held_out(contents.held_out, fractions=self._fractions, train="train")
            )
        if contents.is_renamed:
            notes.append("what the list calls validation is the test split, which is only measured on")
        return notes

    def listing(self, split: str) -> Listing:
        """Lists the rows of a split without reading their images."""
        return Listing(Counter(label for _, label in self._labelled(split)))

    def shards(self, split: str) -> list[tuple[tuple[Row, int], ...]]:
        """Returns the shards of a split, as rows with their labels."""
        return splitting.in_shards(self._labelled(split))

    def read(self, shard: tuple[tuple[Row, int], ...]) -> Iterator[Record | Skipped]:
        """Reads the images of one shard."""
        for row, label in shard:
            yield _read_image(row, label)

    def find_root(self) -> str | None:
        """Finds the folder beside a list in which its images are, as with `train.csv` and `train/` of Kaggle.

        Returns:
          None where the first image is at its place, or in none of the folders.
        """
        row = next(iter(self._contents.rows["train"]), None)
        file, place = _as_file(row.location) if row else None, _as_file(self.settings.path)
        if row is None or file is None or place is None or is_there(file):
            return None
        folders = [each for each in sorted(place.parent.iterdir()) if is_there(each / row.id)]
        # Those to test on may have the same names.
        folders.sort(key=lambda each: split_names.split_of_images(each.name) not in (None, "train"))
        return str(folders[0]) if folders else None

    @property
    def _fractions(self) -> dict[str, float]:
        return self.settings.split_fractions.model_dump()

    @property
    def _given(self) -> str:
        return f"data.path: got {self.settings.path!r}"

    def _check_paths(self, rows: Sequence[Row]) -> None:
        if self.settings.path_column is None and not any(_may_be_file(row.location) for row in rows):
            raise InputError(
                f"data.path_column: the paths in {self.settings.path!r} are such as {rows[0].id!r}, which "
                f"names no file; write the suffix too, as in {rows[0].id}.jpg, or name another column."
            )

    def _labelled(self, split: str) -> list[tuple[Row, int]]:
        labels = {name: label for label, name in enumerate(self.class_names)}
        return [(row, labels.get(row.class_name, NO_LABEL)) for row in self._contents.rows[split]]

    @functools.cached_property
    def _contents(self) -> _Contents:
        digest = hashlib.sha256()
        rows: dict[str, list[Row]] = {}
        has_splits = False
        for folder, location in self._lists().items():
            data = self._read_list(location)
            digest.update(data)
            columns = self._columns(data, location)
            has_splits = has_splits or bool(folder) or "split_column" in columns
            for split, row in self._rows(columns, folder=folder, location=location):
                rows.setdefault(split, []).append(row)
        is_renamed = "test" not in rows and "validation" in rows and self.settings.labels
        if is_renamed:
            rows["test"] = rows.pop("validation")
        held_out = split_names.missing(rows)
        if "train" not in rows or (not self.settings.labels and has_splits and "test" in held_out):
            needed = "train" if "train" not in rows else "test"
            raise InputError(f"{self._given}, which has no image of the {needed} split; add some.")
        return _Contents(
            rows=self._hold_out(rows, held_out),
            held_out=held_out,
            has_splits=has_splits,
            is_renamed=is_renamed,
            digest=digest.hexdigest(),
        )

    def _lists(self) -> dict[str, str]:
        """Returns the path or URL of each list, by the split folder that it lies in; '' for none."""
        path = self.settings.path
        place = _as_file(path)
        if place is None or not place.is_dir():
            if not posixpath.splitext(path.partition("?")[0])[1].lower().endswith(SUFFIXES):
                raise InputError(f"{self._given}; expected a list of images: a {', '.join(SUFFIXES)} file.")
            return {"": path}
        found = find_lists(place)
        if not found:
            raise InputError(f"{self._given}, which holds no metadata.csv, nor do split folders in it.")
        return {folder: str(file) for folder, file in found.items()}

    def _read_list(self, location: str) -> bytes:
        problem = _find_irregularity(location)
        if problem:
            raise InputError(f"{self._given}; {location} is {problem}; save the list to a file.")
        try:
            return _read(location)
        except (OSError, ValueError, ImportError) as error:  # fsspec knows no such protocol, or lacks it.
            raise InputError(f"{self._given}; {location} cannot be read ({_reason(error)}).") from None

    def _columns(self, data: bytes, location: str) -> Columns:
        """Reads the columns of a list, by the keys that name them."""
        if location.partition("?")[0].lower().endswith(".parquet"):
            return _read_parquet(data, self._choose_columns)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{self._given}, which is no UTF-8 text; save it as one.") from None
        delimiter = "\t" if location.partition("?")[0].lower().endswith(".tsv") else ","
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            table.fieldnames = [name.strip() for name in table.fieldnames or ()]
            columns = self._choose_columns(table.fieldnames)
            rows = list(table)
        except csv.Error as error:  # Such as a quote that nothing closes.
            raise InputError(
                f"{self._given}, which is damaged near its line {table.line_num} ({error})."
            ) from None
        return {key: [(row[name] or "").strip() for row in rows] for key, name in columns.items()}

    def _choose_columns(self, names: Sequence[str]) -> dict[str, str]:
        """Returns the names of the columns that are used, by the keys that name them."""
        if not names:
            raise InputError(f"{self._given}, which is empty; expected a line with the names of the columns.")
        columns = {}
        by_lower_case = {name.lower(): name for name in reversed(names)}
        for key, usual_names in _USUAL_NAMES.items():
            given = getattr(self.settings, key)
            if given is not None and given not in names:
                raise InputError(
                    f"data.{key}: got {given!r}, which is no column of {self.settings.path!r}; it has "
                    f"{', '.join(names)}{suggest(given, names) or '.'}"
                )
            usual = (by_lower_case[name] for name in usual_names if name in by_lower_case)
            found = given or next(usual, None)
            if found:
                columns[key] = found
            elif key in _NEEDED:
                raise InputError(
                    f"data.{key}: no column of {self.settings.path!r} is called {', '.join(usual_names)}; "
                    f"name one of {', '.join(names)}{_hint_at_semicolons(names)}."
                )
        self._check_each_once(columns, names)
        return columns

    def _check_each_once(self, columns: Mapping[str, str], names: Sequence[str]) -> None:
        for key, name in columns.items():
            if names.count(name) > 1:
                raise InputError(
                    f"data.{key}: {self.settings.path!r} has {names.count(name)} columns called {name!r}; "
                    "rename or remove all but one."
                )

    def _rows(self, columns: Columns, *, folder: str, location: str) -> Iterator[tuple[str, Row]]:
        """Yields the split and the row of each image in a list."""
        root = self.settings.root or posixpath.dirname(location)
        paths = columns["path_column"]
        splits = columns.get("split_column") or [folder or "train"] * len(paths)
        weights: Sequence[str | None] = columns.get("sample_weight") or [None] * len(paths)
        for path, class_name, split, weight in zip(
            paths, columns["label_column"], splits, weights, strict=True
        ):
            row = Row(
                id=posixpath.join(folder, path),
                location=path if _URL.match(path) else posixpath.join(root, path),
                class_name=class_name,
                weight=None if weight is None else self._to_weight(weight, path),
            )
            yield self._to_split(split or folder, path, folder=folder), row

    def _to_split(self, name: str, path: str, *, folder: str) -> str:
        split = split_names.split_of(name)
        if split is None:
            raise InputError(
                f"data.split_column: {path!r} is in the split {name!r}; expected train, validation or test."
            )
        if folder and split != split_names.split_of(folder):
            raise InputError(
                f"data.split_column: {path!r} is in the split {name!r}, but its list lies in the split "
                f"folder {folder!r}; correct the column, or remove it."
            )
        return split

    def _to_weight(self, text: str, path: str) -> float:
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise InputError(
                f"data.sample_weight: {path!r} has the weight {text!r}; expected a number from 0."
            )
        return weight

    def _hold_out(self, rows: dict[str, list[Row]], held_out: Sequence[str]) -> dict[str, list[Row]]:
        fractions = {split: self._fractions[split] for split in ("train", *held_out)}
        assigned = splitting.assign([row.id for row in rows["train"]], fractions=fractions)
        splits = {name: split for split, names in assigned.items() for name in names}
        for row in rows.pop("train"):
            rows.setdefault(splits[row.id], []).append(row)
        return {
            split: sorted(rows.get(split, ()), key=lambda row: splitting.position(row.id)) for split in SPLITS
        }


def find_lists(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Finds the lists of a folder as Hugging Face lays them out: beside the images, by split folder or by ''.

    Args:
      folder: A folder with `metadata.csv` or the like in it, or in its split folders.
    """
    names = [f"metadata{suffix}" for suffix in SUFFIXES]
    own = [folder / name for name in names if (folder / name).is_file()]
    if own:
        return {"": own[0]}
    candidates = [each.name for each in sorted(folder.iterdir()) if each.is_dir()]
    lists = {
        candidate: folder / candidate / name
        for candidate in candidates
        for name in names
        if split_names.split_of(candidate) and (folder / candidate / name).is_file()
    }
    split_names.by_split(lists, parent=str(folder))
    return lists


def _read_parquet(data: bytes, choose: Callable[[Sequence[str]], dict[str, str]]) -> Columns:
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        columns = choose(file.schema_arrow.names)
        kind = file.schema_arrow.field(columns["path_column"]).type
        if pyarrow.types.is_nested(kind):
            raise InputError(
                f"data.path_column: {columns['path_column']!r} holds {kind}, no paths; name one "
                "that does, or write the images to files."
            )
        table = file.read(columns=list(columns.values()))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"data.path: the list is no sound Parquet file ({first_line(error)}).") from None
    return {key: _to_texts(table[name], key=key, name=name) for key, name in columns.items()}


def _to_texts(column: Any, *, key: str, name: str) -> list[str]:
    try:
        return [_to_text(value).strip() for value in column.to_pylist()]
    except UnicodeDecodeError:
        raise InputError(
            f"data.{key}: {name!r} holds bytes that are no UTF-8 text; name another column, or write text."
        ) from None


def _to_text(value: object) -> str:
    """Writes a value; whole numbers that a column of floats holds, since some are missing, as such."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and math.isnan(value):
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _find_fraction(names: Sequence[str]) -> str | None:
    """Returns the first that is no whole number, if all are numbers."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return None
    return next((name for name, number in zip(names, numbers, strict=True) if number % 1), None)


def _hint_at_semicolons(names: Sequence[str]) -> str:
    return "; separate columns by commas, not semicolons" if any(";" in name for name in names) else ""


def _read_image(row: Row, label: int) -> Record | Skipped:
    problem = _find_irregularity(row.location)
    if problem:
        return Skipped(row.id, problem)
    try:
        return Record(row.id, _read(row.location), label, row.weight)
    except (OSError, ValueError, ImportError) as error:  # fsspec knows no such protocol, or lacks it.
        return Skipped(row.id, f"cannot be read: {_reason(error)}", corrupt=True)


def _find_irregularity(location: str) -> str | None:
    file = _as_file(location)
    return image_files.find_irregularity(file) if file else None


def _read(location: str) -> bytes:
    """Reads a file, or what lies at a URL; raises OSError if it is not there."""
    file = _as_file(location)
    if file:
        return file.read_bytes()
    import aiohttp
    import fsspec

    try:
        with fsspec.open(location, "rb") as remote:
            content: bytes = remote.read()
    except aiohttp.ClientError as error:
        raise OSError(first_line(error)) from error
    return content


def _may_be_file(location: str) -> bool:
    """Tells an image's place from an id of it, which has no suffix, and under which nothing lies."""
    file = _as_file(location)
    return file is None or bool(file.suffix) or is_there(file)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _as_file(location: str) -> pathlib.Path | None:
    """Returns the path of a file on this machine, or None for another URL."""
    location = location.removeprefix("file://")
    return None if _URL.match(location) else expand_user(location)
