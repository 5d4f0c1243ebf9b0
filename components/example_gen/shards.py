"""Writes the records of a source as TFRecords, shard by shard."""

import dataclasses
import hashlib
from typing import Any, NamedTuple

from components.example_gen.images import ImageError, probe_image
from components.example_gen.source import Record, Skipped, Source


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to write.

    Attributes:
      split: The split that it belongs to.
      shard: What the source reads it by.
      path: The file to write.
      hashed: Whether the content of its images is to be compared with that of others.
    """

    split: str
    shard: Any
    path: str
    hashed: bool = False


@dataclasses.dataclass
class Outcome:
    """What became of a shard.

    Attributes:
      split: The split that it belongs to.
      path: The file that was written.
      examples: The number of examples in it.
      labels: The labels that occur in it.
      skipped: What was left out: pairs of id and reason.
      corrupt: Those of them that should have been images.
      hashes: The SHA-256 of each encoded image, in hexadecimal, by its id; none unless asked for.
    """

    split: str
    path: str
    examples: int = 0
    labels: list[int] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    corrupt: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)


def plan(source: Source, *, split: str, folder: str, hashed: bool = False) -> list[Task]:
    """Lists the shards of a split and names their files.

    Args:
      source: Where the images come from.
      split: One of its splits.
      folder: Where the files shall lie.
      hashed: See `Task`.
    """
    shards = source.shards(split)
    return [
        Task(split, shard, f"{folder}/data_tfrecord-{index:05d}-of-{len(shards):05d}.gz", hashed)
        for index, shard in enumerate(shards)
    ]


def write_shard(task: Task, *, source: Source) -> Outcome:
    """Reads one shard, checks each of its images, and writes it.

    The file appears under its name once it is whole. The same shard gives the same bytes.

    Args:
      task: What to write.
      source: Where the images come from.

    Returns:
      What was written and what was left out.
    """
    import tensorflow as tf

    outcome = Outcome(task.split, task.path)
    labels = set()
    partial = f"{task.path}.partial"
    with tf.io.TFRecordWriter(partial, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for item in map(_probe, source.read(task.shard)):
            if isinstance(item, Skipped):
                outcome.skipped.append((item.id, item.reason))
                if item.corrupt:
                    outcome.corrupt.append((item.id, item.reason))
            else:
                writer.write(_serialize(item))
                outcome.examples += 1
                labels.add(item.record.label)
                if task.hashed:
                    outcome.hashes[item.record.id] = hashlib.sha256(item.record.image).hexdigest()
    tf.io.gfile.rename(partial, task.path, overwrite=True)
    outcome.labels = sorted(labels)
    return outcome


class _Probed(NamedTuple):
    record: Record
    height: int
    width: int


def _probe(item: Record | Skipped) -> _Probed | Skipped:
    if isinstance(item, Skipped):
        return item
    try:
        return _Probed(item, *probe_image(item.image))
    except ImageError as error:
        return Skipped(item.id, str(error), corrupt=True)


def _serialize(item: _Probed) -> bytes:
    import tensorflow as tf

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def data(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image": data(item.record.image),
        "label": integer(item.record.label),
        "id": data(item.record.id.encode()),
        "height": integer(item.height),
        "width": integer(item.width),
    }
    if item.record.weight is not None:
        weight = tf.train.FloatList(value=[item.record.weight])
        features["weight"] = tf.train.Feature(float_list=weight)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
