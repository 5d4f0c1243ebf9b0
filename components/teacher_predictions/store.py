"""The teacher's logits on disk, shard for shard beside the examples they belong to.

For each file of examples there is one TFRecord file of the same name: one `tf.Example` with `id` and
`logits` per example, in the same order. `manifest.json`, written last, says whose predictions they are,
of which views, and how many and how long each file is.

The logits of an image as it is are a list of floats. Those of its views are a list of bytes: for each view in
turn its logits in little-endian float16. That rounds a logit of 1 by 0.0005 at most, and one of 1,000 by
0.25; beyond 65,504 it is cut.
"""

import collections
import contextlib
import dataclasses
import errno
import itertools
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.errors import InputError
from components.files import read_json, replacing, sha256, write_json
from components.layout import MANIFEST_FILE
from components.settings.training import Views
from components.training.inputs.augmentation import fingerprint_views
from components.training.inputs.batches import VIEW_LOGITS, batches_by_file

# Values of the images in a forward pass. Small images want large batches, since each call of a model costs
# some hundred microseconds whatever the batch; for large ones a larger batch only takes more memory.
_VALUES_PER_BATCH = 400_000
_BATCH_SIZES = (32, 512)
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
      num_classes: Width of the logits.
      shards: The files, by their names.
      dtype: Of the logits.
      num_views: How many views of each image there are logits of; 0 is of the image as it is.
      views_fingerprint: Of what makes the views.
    """

    teacher_fingerprint: str
    num_classes: int
    shards: dict[str, Shard]
    dtype: str = "float32"
    num_views: int = 0
    views_fingerprint: str = ""


class Batch(NamedTuple):
    """Predictions for examples of one file: its number, ids `[batch]`, logits `[batch, num_classes]`.

    Of views, the logits are float16 `[batch, views, num_classes]`.
    """

    file: int
    ids: np.ndarray
    logits: np.ndarray


def fingerprint_teacher(keras_file: str) -> str:
    """Returns the SHA-256 of a teacher's `.keras` file, in hexadecimal."""
    return sha256(keras_file)


def views_of(split: str, views: Views | None) -> Views | None:
    """Returns which views of the images of a split are seen: those to validate on are seen as they are."""
    return None if split == "validation" else views


def choose_batch_size(image_shape: tuple[int, int, int]) -> int:
    """Returns how many images of a shape to give to the teacher at once."""
    least, most = _BATCH_SIZES
    return max(least, min(most, _VALUES_PER_BATCH // math.prod(image_shape)))


def write_predictions(
    teacher: keras.Model,
    *,
    teacher_fingerprint: str,
    example_files: Sequence[str],
    image_shape: tuple[int, int, int],
    batch_size: int,
    directory: str,
    views: Views | None = None,
) -> Manifest:
    """Runs the teacher once over the examples, or over each of their views, and stores its logits.

    Reading, the teacher and writing go on at the same time, with no more than a few batches in memory. A
    file gets its name when it is whole and on disk, and the manifest is written when all of them are.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      teacher_fingerprint: See `Manifest`.
      example_files: TFRecord files of transformed examples.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a forward pass.
      directory: Where to write; it exists.
      views: Of the images; None is the images as they are.

    Returns:
      The manifest, which is in the directory too.

    Raises:
      InputError: The disk is full.
    """
    files = sorted(example_files)
    predictions = _predict(
        teacher, batches_by_file(files, image_shape=image_shape, batch_size=batch_size, views=views)
    )
    return write_batches(
        predictions if views is None else _side_by_side(predictions, num_views=views.number),
        teacher_fingerprint=teacher_fingerprint,
        num_classes=teacher.output_shape[-1],
        example_files=files,
        directory=directory,
        views=views,
    )


def write_batches(
    batches: Iterable[Batch],
    *,
    teacher_fingerprint: str,
    num_classes: int,
    example_files: Sequence[str],
    directory: str,
    views: Views | None = None,
) -> Manifest:
    """Stores predictions as they come; see `write_predictions`.

    Args:
      batches: The predictions for all examples, in the order of the files and of the examples in them.
      teacher_fingerprint: See `Manifest`.
      num_classes: Width of the logits.
      example_files: The TFRecord files to which the batches belong, by the index that they name.
      directory: Where to write; it exists.
      views: The views that they are of; None is of the images as they are.

    Returns:
      The manifest, which is in the directory too.

    Raises:
      InputError: The disk is full.
    """
    shards: dict[str, Shard] = {}

    def write(file: str, predicted: Iterable[Batch]) -> None:
        name = _shard_name(file)
        shards[name] = _write_shard(pathlib.Path(directory, name), predicted)

    with _full_disk_explained(directory):
        for number, predicted in itertools.groupby(batches, key=lambda batch: batch.file):
            write(example_files[number], predicted)
        for file in example_files:
            if _shard_name(file) not in shards:
                write(file, ())
        manifest = Manifest(
            teacher_fingerprint=teacher_fingerprint,
            num_classes=num_classes,
            shards=shards,
            **_describe(views),
        )
        write_json(pathlib.Path(directory, MANIFEST_FILE), dataclasses.asdict(manifest))
    return manifest


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
      directory: Where `write_predictions` wrote.
      teacher_fingerprint: Of the teacher whose predictions are wanted; None if it is known by them alone.
      num_examples: How many examples there are, if that is known.
      example_files: The files of those examples, in the order in which they will be read.
      views: The views that will be seen of their images; None is the images as they are.

    Returns:
      The prediction files, in the order of the example files.

    Raises:
      InputError: The predictions are incomplete, of another teacher, or of other examples or views.
    """
    path = pathlib.Path(directory, MANIFEST_FILE)
    advice = f"delete {pathlib.Path(directory).parent} and run again"  # The artifact, with all its splits.
    manifest = _read_manifest(path)
    if manifest is None:
        raise InputError(f"The teacher predictions in {directory} are incomplete: {advice}.")
    if teacher_fingerprint is not None and manifest.teacher_fingerprint != teacher_fingerprint:
        raise InputError(
            f"The teacher predictions in {directory} are of the teacher {manifest.teacher_fingerprint[:12]}, "
            f"not of {teacher_fingerprint[:12]}: {advice}."
        )
    if manifest.views_fingerprint != _describe(views)["views_fingerprint"]:
        raise InputError(
            f"The teacher predictions in {directory} are of other views of the images: augment, the seed, "
            f"their number or the code that makes them has changed; {advice}."
        )
    stored = sum(shard.num_examples for shard in manifest.shards.values())
    if num_examples is not None and stored != num_examples:
        raise InputError(
            f"The teacher predictions in {directory} cover {stored} examples, but the split has "
            f"{num_examples}: {advice}."
        )
    names = [_shard_name(example_file) for example_file in example_files]
    if sorted(names) != sorted(manifest.shards):
        raise InputError(f"The teacher predictions in {directory} are of other files of examples: {advice}.")
    for name, shard in manifest.shards.items():
        file = pathlib.Path(directory, name)
        num_bytes = file.stat().st_size if file.exists() else 0
        if num_bytes != shard.num_bytes:
            raise InputError(
                f"The teacher predictions in {directory} are damaged: {name} has {num_bytes} bytes, not the "
                f"{shard.num_bytes} that were written; {advice}."
            )
    return [str(pathlib.Path(directory, name)) for name in names]


def read_logits(prediction_files: Sequence[str], *, at_most: int = 1000) -> np.ndarray:
    """Reads the logits of the first examples, of all their views, `[predictions, num_classes]`.

    Args:
      prediction_files: From `open_predictions`.
      at_most: Examples.
    """
    return np.concatenate(list(_logits_of_views(prediction_files, at_most=at_most)))


def read_first_view(directory: str, *, at_most: int) -> np.ndarray:
    """Reads the logits of the first examples, of the first of their views, `[examples, num_classes]`.

    Args:
      directory: Where `write_predictions` wrote, to its end.
      at_most: Examples.
    """
    shards = sorted(read_json(pathlib.Path(directory, MANIFEST_FILE))["shards"])
    files = [str(pathlib.Path(directory, name)) for name in shards]
    return np.stack([views[0] for views in _logits_of_views(files, at_most=at_most)])


def _logits_of_views(prediction_files: Sequence[str], *, at_most: int) -> Iterator[np.ndarray]:
    """Yields the logits of the first examples, of each `[views, num_classes]`."""
    for record in tf.data.TFRecordDataset(list(prediction_files)).take(at_most).as_numpy_iterator():
        yield _decode_logits(tf.train.Example.FromString(record))


def read_by_id(prediction_files: Sequence[str], *, num_classes: int) -> dict[bytes, np.ndarray]:
    """Reads all stored logits, `[num_classes]`, by the id of the example."""
    specification = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "logits": tf.io.FixedLenFeature([num_classes], tf.float32),
    }
    found: dict[bytes, np.ndarray] = {}
    for records in tf.data.TFRecordDataset(list(prediction_files)).batch(_READING_BATCH):
        parsed = tf.io.parse_example(records, specification)
        found.update(zip(parsed["id"].numpy(), parsed["logits"].numpy(), strict=True))
    return found


def _predict(teacher: keras.Model, batches: tf.data.Dataset) -> Iterator[Batch]:
    """Yields the predictions for each batch, while the teacher is at work on the next."""
    images_of_any_number = tf.TensorSpec(batches.element_spec[1].shape, tf.float32)
    predict = tf.function(
        lambda images: teacher(images, training=False), input_signature=[images_of_any_number]
    )

    def run(number: tf.Tensor, images: tf.Tensor, ids: tf.Tensor) -> Batch:
        return Batch(int(number), ids.numpy(), predict(images).numpy())

    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: collections.deque[Future[Batch]] = collections.deque()
        for batch in batches:
            pending.append(pool.submit(run, *batch))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _side_by_side(predictions: Iterator[Batch], *, num_views: int) -> Iterator[Batch]:
    """Joins the predictions for the views of a batch, which come one after the other."""
    most = np.finfo(VIEW_LOGITS.as_numpy_dtype).max
    while views := list(itertools.islice(predictions, num_views)):
        logits = np.stack([each.logits for each in views], axis=1)
        cut = np.where(np.isfinite(logits), np.clip(logits, -most, most), logits)
        yield views[0]._replace(logits=cut.astype(VIEW_LOGITS.as_numpy_dtype))


def _describe(views: Views | None) -> dict[str, Any]:
    """Returns what a manifest says of views."""
    if views is None:
        return {"views_fingerprint": ""}
    return {
        "dtype": VIEW_LOGITS.name,
        "num_views": views.number,
        "views_fingerprint": fingerprint_views(views),
    }


def _write_shard(path: pathlib.Path, batches: Iterable[Batch]) -> Shard:
    encoder = RecordBatchToExamplesEncoder()
    count = 0
    with replacing(path) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for batch in batches:
            for record in encoder.encode(_as_arrow(batch)):
                writer.write(record)
            count += len(batch.ids)
    return Shard(num_examples=count, num_bytes=path.stat().st_size)


def _as_arrow(batch: Batch) -> pa.RecordBatch:
    """Turns a batch into one row per example, as TFX's encoder of `tf.Example`s wants it."""
    count, width = batch.logits.shape[:2]
    ids = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32), pa.array(batch.ids, pa.binary()))
    starts = np.arange(0, count * width + 1, width, dtype=np.int32)
    logits = pa.ListArray.from_arrays(starts, _encode_logits(batch.logits))
    return pa.RecordBatch.from_arrays([ids, logits], ["id", "logits"])


def _encode_logits(logits: np.ndarray) -> pa.Array:
    """Returns the values of the feature `logits` of all rows, one row after the other."""
    if logits.ndim == 2:
        return pa.array(logits.reshape(-1), pa.float32())
    return pa.array([of_view.tobytes() for views in logits for of_view in views], pa.binary())


def _decode_logits(example: tf.train.Example) -> np.ndarray:
    """Returns the logits of a stored example, float32 `[views, num_classes]`; without views one row."""
    feature = example.features.feature["logits"]
    if feature.HasField("float_list"):
        return np.array([feature.float_list.value], np.float32)
    dtype = VIEW_LOGITS.as_numpy_dtype
    return np.stack([np.frombuffer(view, dtype).astype(np.float32) for view in feature.bytes_list.value])


def _read_manifest(path: pathlib.Path) -> Manifest | None:
    """Returns the manifest, or None where there is none, or it cannot be read."""
    try:
        content = read_json(path)
        shards = {name: Shard(**shard) for name, shard in content.pop("shards").items()}
        return Manifest(**content, shards=shards)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def _shard_name(example_file: str) -> str:
    return pathlib.Path(example_file).name


@contextlib.contextmanager
def _full_disk_explained(directory: str) -> Iterator[None]:
    """Raises an InputError where the disk is full, whether Python or TensorFlow finds out."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        for number in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(number) in str(error):
                raise InputError(
                    f"{os.strerror(number)} for the teacher predictions in {directory}: make room there, or "
                    "choose another place for the run, and run again."
                ) from error
        raise
