"""The teacher's logits on disk, shard for shard beside the examples they belong to.

For each file of examples there is one TFRecord file of the same name; see `records`. `manifest.json`, written
last, says whose predictions they are, of which views, and how many and how long each file is.
"""

import contextlib
import dataclasses
import errno
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.errors import InputError
from components.files import read_json, replacing, sha256
from components.layout import MANIFEST_FILE
from components.reading import untuned
from components.settings.training import Views
from components.storage import files
from components.storage.copies import local_copy, origin_of
from components.storage.uri import join, name_of, parent_of
from components.teacher_predictions.records import Batch, write_records
from components.training.inputs.augmentation import fingerprint_views
from components.training.inputs.stored_logits import unpack

_READING_BATCH = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A file of stored predictions: how many there are in it, and its length in bytes."""

    num_examples: int
    num_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a set of stored predictions is.

    Attributes:
      teacher_fingerprint: SHA-256 of the teacher's `.keras` file, or of the file of an outside teacher.
      shards: The files, by their names.
      num_views: How many views of each image there are logits of; 0 is of the image as it is.
      views_fingerprint: Of what makes the views.
      top_k: Of how many classes logits are stored one by one; None is of all.
    """

    teacher_fingerprint: str
    shards: dict[str, Shard]
    num_views: int = 0
    views_fingerprint: str = ""
    top_k: int | None = None


def fingerprint_teacher(keras_file: str) -> str:
    """Returns the SHA-256 of a teacher's `.keras` file, in hexadecimal."""
    return sha256(keras_file)


def views_of(split: str, views: Views | None) -> Views | None:
    """Returns which views of the images of a split are seen: those to validate on are seen as they are."""
    return None if split == "validation" else views


def write_batches(
    batches: Iterable[Batch],
    *,
    teacher_fingerprint: str,
    example_files: Sequence[str],
    directory: str,
) -> None:
    """Stores predictions as they come, for images as they are.

    Args:
      batches: The predictions for all examples, in the order of the files and of the examples in them.
      teacher_fingerprint: See `Manifest`.
      example_files: The TFRecord files to which the batches belong, by the index that they name.
      directory: Where to write; it exists.

    Raises:
      InputError: The disk is full.
    """
    shards: dict[str, Shard] = {}

    def write(file: str, predicted: Iterable[Batch]) -> None:
        path = pathlib.Path(directory, name_of(file))
        with replacing(path) as partial:
            num_examples = write_records(str(partial), predicted)
        shards[path.name] = Shard(num_examples=num_examples, num_bytes=path.stat().st_size)

    with full_disk_explained(directory):
        for number, predicted in itertools.groupby(batches, key=lambda batch: batch.file):
            write(example_files[number], predicted)
        for file in example_files:
            if name_of(file) not in shards:
                write(file, ())
        write_manifest(directory, teacher_fingerprint=teacher_fingerprint, shards=shards)


def write_manifest(
    directory: str,
    *,
    teacher_fingerprint: str,
    shards: Mapping[str, Shard],
    views: Views | None = None,
    top_k: int | None = None,
) -> None:
    """Says what the files in a directory are; it makes them whole.

    Args:
      directory: A path or URI.
      teacher_fingerprint: See `Manifest`.
      shards: The files, by their names.
      views: The views that they are of; None is of the images as they are.
      top_k: See `Manifest`.
    """
    manifest = Manifest(
        teacher_fingerprint=teacher_fingerprint, shards=dict(shards), top_k=top_k, **_describe(views)
    )
    files.write_json(join(directory, MANIFEST_FILE), dataclasses.asdict(manifest))


def open_predictions(
    directory: str,
    *,
    teacher_fingerprint: str | None,
    num_examples: int | None,
    example_files: Sequence[str],
    views: Views | None = None,
) -> list[str]:
    """Checks that stored predictions are whole, of this teacher, and of these examples and views.

    The ids are compared as they are read; see `components.training.inputs.batches`.

    Args:
      directory: Where predictions were written.
      teacher_fingerprint: Of the teacher whose predictions are wanted; None if it is known by them alone.
      num_examples: How many examples there are, if that is known.
      example_files: The files of those examples, in the order in which they will be read.
      views: The views that will be seen of their images; None is the images as they are.

    Returns:
      The prediction files, in the order of the example files.

    Raises:
      InputError: The predictions are incomplete, of another teacher, or of other examples or views.
    """
    path, place = pathlib.Path(directory, MANIFEST_FILE), origin_of(directory)
    advice = f"delete {parent_of(place)} and run again"  # The artifact, with all its splits.
    manifest = _read_manifest(path)
    if manifest is None:
        raise InputError(f"The teacher predictions in {place} are incomplete: {advice}.")
    if teacher_fingerprint is not None and manifest.teacher_fingerprint != teacher_fingerprint:
        raise InputError(
            f"The teacher predictions in {place} are of the teacher {manifest.teacher_fingerprint[:12]}, "
            f"not of {teacher_fingerprint[:12]}: {advice}."
        )
    if manifest.views_fingerprint != _describe(views).get("views_fingerprint", ""):
        raise InputError(
            f"The teacher predictions in {place} are of other views of the images: augment, the seed, "
            f"their number or the code that makes them has changed; {advice}."
        )
    stored = sum(shard.num_examples for shard in manifest.shards.values())
    if num_examples is not None and stored != num_examples:
        raise InputError(
            f"The teacher predictions in {place} cover {stored} examples, but the split has "
            f"{num_examples}: {advice}."
        )
    names = [name_of(example_file) for example_file in example_files]
    if sorted(names) != sorted(manifest.shards):
        raise InputError(f"The teacher predictions in {place} are of other files of examples: {advice}.")
    for name, shard in manifest.shards.items():
        file = pathlib.Path(directory, name)
        num_bytes = file.stat().st_size if file.exists() else 0
        if num_bytes != shard.num_bytes:
            raise InputError(
                f"The teacher predictions in {place} are damaged: {name} has {num_bytes} bytes, not the "
                f"{shard.num_bytes} that were written; {advice}."
            )
    return [str(pathlib.Path(directory, name)) for name in names]


def read_top_k(directory: str) -> int | None:
    """Returns of how many classes logits are stored one by one; None is of all.

    Args:
      directory: Where predictions were written, to its end.
    """
    top_k: int | None = read_json(pathlib.Path(directory, MANIFEST_FILE))["top_k"]
    return top_k


def read_logits(prediction_files: Sequence[str], *, num_classes: int, at_most: int = 1000) -> np.ndarray:
    """Reads the logits of the first examples, of all their views, `[predictions, num_classes]`.

    Args:
      prediction_files: From `open_predictions`.
      num_classes: How many classes there are.
      at_most: Examples.
    """
    return np.concatenate(list(_logits_of_views(prediction_files, num_classes=num_classes, at_most=at_most)))


def read_first_view(directory: str, *, num_classes: int, at_most: int) -> np.ndarray:
    """Reads the logits of the first examples, of the first of their views, `[examples, num_classes]`.

    Args:
      directory: The path or URI where predictions were written, to its end; of that no more is fetched than
        these are in.
      num_classes: How many classes there are.
      at_most: Examples.
    """
    shards = sorted(files.read_json(join(directory, MANIFEST_FILE))["shards"])
    found = (
        views[0]
        for name in shards
        for views in _logits_of_views(
            [str(local_copy(join(directory, name)))], num_classes=num_classes, at_most=at_most
        )
    )
    return np.stack(list(itertools.islice(found, at_most)))


def _logits_of_views(
    prediction_files: Sequence[str], *, num_classes: int, at_most: int
) -> Iterator[np.ndarray]:
    """Yields the logits of the first examples, of each `[views, num_classes]`."""
    records = tf.data.TFRecordDataset(list(prediction_files)).take(at_most).batch(_READING_BATCH)
    for batch in records.with_options(untuned()).as_numpy_iterator():
        features = [tf.train.Example.FromString(record).features.feature for record in batch]
        if "logits" in features[0]:  # All of them are stored alike.
            yield from (np.array([each["logits"].float_list.value], np.float32) for each in features)
            continue
        halves = [each["halves"].bytes_list.value for each in features]
        logits = unpack(tf.constant(list(itertools.chain(*halves))), num_classes=num_classes).numpy()
        yield from np.split(logits, len(halves))  # There are as many views of each.


def read_by_id(prediction_files: Sequence[str], *, num_classes: int) -> dict[bytes, np.ndarray]:
    """Reads all stored logits of an outside teacher, `[num_classes]`, by the id of the example."""
    specification = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "logits": tf.io.FixedLenFeature([num_classes], tf.float32),
    }
    found: dict[bytes, np.ndarray] = {}
    batches = tf.data.TFRecordDataset(list(prediction_files)).batch(_READING_BATCH)
    for records in batches.with_options(untuned()):
        parsed = tf.io.parse_example(records, specification)
        found.update(zip(parsed["id"].numpy(), parsed["logits"].numpy(), strict=True))
    return found


def _describe(views: Views | None) -> dict[str, Any]:
    """Returns what a manifest says of views."""
    if views is None:
        return {}
    return {"num_views": views.number, "views_fingerprint": fingerprint_views(views)}


def _read_manifest(path: pathlib.Path) -> Manifest | None:
    """Returns the manifest, or None where there is none, or it cannot be read."""
    try:
        content = read_json(path)
        shards = {name: Shard(**shard) for name, shard in content.pop("shards").items()}
        return Manifest(**content, shards=shards)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


@contextlib.contextmanager
def full_disk_explained(directory: str) -> Iterator[None]:
    """Raises an InputError where the disk is full, whoever finds out: Python, TensorFlow, a worker of Beam.

    Args:
      directory: Where predictions are written.

    Raises:
      InputError: The disk is full.
    """
    try:
        yield
    except (OSError, RuntimeError, tf.errors.OpError) as error:
        for number in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(number) in str(error):
                raise InputError(
                    f"{os.strerror(number)} for the teacher predictions in {directory}: make room there, or "
                    "choose another place for the run, and run again."
                ) from error
        raise
