"""The teacher's logits on disk, shard for shard beside the examples they belong to.

For each file of examples there is one TFRecord file of the same name, without its `.gz`: one
`tf.Example` with `id` and `logits` per example, in the same order. `manifest.json`, written last,
says whose predictions they are and how many.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from components.errors import InputError
from components.files import read_json, write_json
from components.training.data import ordered_batches

MANIFEST_FILE = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a set of stored predictions is.

    Attributes:
      teacher_fingerprint: SHA-256 of the teacher's `.keras` file.
      num_classes: Width of the logits.
      num_examples: Examples in each file, by the file's name.
    """

    teacher_fingerprint: str
    num_classes: int
    num_examples: dict[str, int]


def split_directory(uri: str, split: str) -> str:
    """Returns where in a `TeacherPredictions` artifact the predictions for a split lie."""
    return f"{uri}/Split-{split}"


def fingerprint_teacher(keras_file: str) -> str:
    """Returns the SHA-256 of a teacher's `.keras` file, in hexadecimal."""
    with pathlib.Path(keras_file).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      teacher_fingerprint: See `Manifest`.
      example_files: GZIP TFRecord files of transformed examples.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a forward pass.
      directory: Where to write; it exists.

    Returns:
      The manifest, which is in the directory too.
    """
    predict = tf.function(lambda images: teacher(images, training=False), reduce_retracing=True)
    counts = {}
    for example_file in sorted(example_files):
        path = pathlib.Path(directory, _shard_name(example_file))
        batches = ordered_batches([example_file], image_shape=image_shape, batch_size=batch_size)
        count = 0
        with tf.io.TFRecordWriter(str(path)) as writer:
            for images, targets in batches:
                logits = predict(images).numpy()
                for example_id, row in zip(targets["id"].numpy(), logits, strict=True):
                    writer.write(_serialize(example_id, row))
                count += len(logits)
        counts[path.name] = count
    manifest = Manifest(
        teacher_fingerprint=teacher_fingerprint, num_classes=teacher.output_shape[-1], num_examples=counts
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
    """Checks that stored predictions are of this teacher and these examples.

    The ids are compared as they are read; see `components.training.data`.

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
    advice = "run TeacherPredictions again"
    if not path.exists():
        raise InputError(f"The teacher predictions in {directory} are incomplete: {advice}.")
    manifest = Manifest(**read_json(path))
    if manifest.teacher_fingerprint != teacher_fingerprint:
        raise InputError(
            f"The teacher predictions in {directory} are of the teacher {manifest.teacher_fingerprint[:12]}, "
            f"not of {teacher_fingerprint[:12]}: {advice}."
        )
    stored = sum(manifest.num_examples.values())
    if stored != num_examples:
        raise InputError(
            f"The teacher predictions in {directory} cover {stored} examples, but the split has "
            f"{num_examples}: {advice}."
        )
    names = [_shard_name(example_file) for example_file in example_files]
    if sorted(names) != sorted(manifest.num_examples):
        raise InputError(f"The teacher predictions in {directory} are of other files of examples: {advice}.")
    return [str(pathlib.Path(directory, name)) for name in names]


def _shard_name(example_file: str) -> str:
    return pathlib.Path(example_file).name.removesuffix(".gz")


def _serialize(example_id: bytes, logits: Sequence[float]) -> bytes:
    features = {
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[example_id])),
        "logits": tf.train.Feature(float_list=tf.train.FloatList(value=logits)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
