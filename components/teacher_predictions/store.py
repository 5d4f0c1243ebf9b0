"""The teacher's logits on disk, shard for shard beside the examples they belong to.

For each file of examples there is one TFRecord file of the same name: one `tf.Example` with `id` and
`logits` per example, in the same order. `manifest.json`, written last, says whose predictions they are,
and how many and how long each file is.
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
from typing import NamedTuple

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.errors import InputError
from components.files import read_json, replacing, sha256, write_json
from components.layout import MANIFEST_FILE
from components.training.inputs.batches import batches_by_file

# Values of the images in a forward pass. Small images want large batches, since each call of a model costs
# some hundred microseconds whatever the batch; for large ones a larger batch only takes more memory.
_VALUES_PER_BATCH = 400_000
_BATCH_SIZES = (32, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A file of stored predictions: how many there are in it, and its length in bytes."""

    num_examples: int
    num_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a set of stored predictions is.

    Attributes:
      teacher_fingerprint: SHA-256 of the teacher's `.keras` file.
      num_classes: Width of the logits.
      shards: The files, by their names.
    """

    teacher_fingerprint: str
    num_classes: int
    shards: dict[str, Shard]


class Batch(NamedTuple):
    """Predictions for examples of one file: its number, ids `[batch]`, logits `[batch, num_classes]`."""

    file: int
    ids: np.ndarray
    logits: np.ndarray


def fingerprint_teacher(keras_file: str) -> str:
    """Returns the SHA-256 of a teacher's `.keras` file, in hexadecimal."""
    return sha256(keras_file)


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
) -> Manifest:
    """Runs the teacher once over the examples and stores its logits.

    Reading, the teacher and writing go on at the same time, with no more than a few batches in memory. A
    file gets its name when it is whole and on disk, and the manifest is written when all of them are.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      teacher_fingerprint: See `Manifest`.
      example_files: TFRecord files of transformed examples.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a forward pass.
      directory: Where to write; it exists.

    Returns:
      The manifest, which is in the directory too.

    Raises:
      InputError: The disk is full.
    """
    files = sorted(example_files)
    batches = batches_by_file(files, image_shape=image_shape, batch_size=batch_size)
    shards: dict[str, Shard] = {}

    def write(file: str, predicted: Iterable[Batch]) -> None:
        name = _shard_name(file)
        shards[name] = _write_shard(pathlib.Path(directory, name), predicted)

    with _full_disk_explained(directory):
        for number, predicted in itertools.groupby(_predict(teacher, batches), key=lambda batch: batch.file):
            write(files[number], predicted)
        for file in files:
            if _shard_name(file) not in shards:
                write(file, ())
        manifest = Manifest(
            teacher_fingerprint=teacher_fingerprint, num_classes=teacher.output_shape[-1], shards=shards
        )
        write_json(pathlib.Path(directory, MANIFEST_FILE), dataclasses.asdict(manifest))
    return manifest


def open_predictions(
    directory: str,
    *,
    teacher_fingerprint: str,
    num_examples: int,
    example_files: Sequence[str],
) -> list[str]:
    """Checks that stored predictions are whole, of this teacher, and of these examples.

    The ids are compared as they are read; see `components.training.inputs.batches`.

    Args:
      directory: Where `write_predictions` wrote.
      teacher_fingerprint: Of the teacher whose predictions are wanted.
      num_examples: How many examples there are.
      example_files: The files of those examples, in the order in which they will be read.

    Returns:
      The prediction files, in the order of the example files.

    Raises:
      InputError: The predictions are incomplete, of another teacher, or of other examples.
    """
    path = pathlib.Path(directory, MANIFEST_FILE)
    advice = f"delete {pathlib.Path(directory).parent} and run again"  # The artifact, with all its splits.
    manifest = _read_manifest(path)
    if manifest is None:
        raise InputError(f"The teacher predictions in {directory} are incomplete: {advice}.")
    if manifest.teacher_fingerprint != teacher_fingerprint:
        raise InputError(
            f"The teacher predictions in {directory} are of the teacher {manifest.teacher_fingerprint[:12]}, "
            f"not of {teacher_fingerprint[:12]}: {advice}."
        )
    stored = sum(shard.num_examples for shard in manifest.shards.values())
    if stored != num_examples:
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
    """Reads the first stored logits, `[examples, num_classes]`."""
    records = tf.data.TFRecordDataset(list(prediction_files)).take(at_most)
    examples = [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]
    return np.array([example.features.feature["logits"].float_list.value for example in examples], np.float32)


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
    count, width = batch.logits.shape
    ids = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32), pa.array(batch.ids, pa.binary()))
    starts = np.arange(0, count * width + 1, width, dtype=np.int32)
    logits = pa.ListArray.from_arrays(starts, pa.array(batch.logits.reshape(-1), pa.float32()))
    return pa.RecordBatch.from_arrays([ids, logits], ["id", "logits"])


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
