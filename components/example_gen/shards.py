"""Writes the records of a source as TFRecords, shard by shard."""

import dataclasses
from typing import Any, NamedTuple

from components.data_checks import descriptors
from components.example_gen.images import ImageError, Probe, probe_image
from components.example_gen.source import Record, Skipped, Source
from components.storage.copies import replaced
from components.storage.files import write_bytes


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to write.

    Attributes:
      split: The split that it belongs to.
      shard: What the source reads it by.
      path: The file to write.
      descriptors: The file for the descriptors of its images.
    """

    split: str
    shard: Any
    path: str
    descriptors: str


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
    """

    split: str
    path: str
    examples: int = 0
    labels: list[int] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    corrupt: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def plan(source: Source, *, split: str, folder: str, descriptors_folder: str) -> list[Task]:
    """Lists the shards of a split and names their files.

    Args:
      source: Where the images come from.
      split: One of its splits.
      folder: Where the files shall lie.
      descriptors_folder: Where those of the descriptors of all splits lie.
    """
    shards = source.shards(split)
    tasks = []
    for index, shard in enumerate(shards):
        number = f"{index:05d}-of-{len(shards):05d}"
        tasks.append(
            Task(
                split,
                shard,
                path=f"{folder}/data_tfrecord-{number}.gz",
                descriptors=f"{descriptors_folder}/{split}-{number}.parquet",
            )
        )
    return tasks


def write_shard(task: Task, *, source: Source) -> Outcome:
    """Reads one shard, checks and describes each of its images, and writes it.

    The file appears under its name once it is whole. The same shard gives the same bytes.

    Args:
      task: What to write.
      source: Where the images come from.

    Returns:
      What was written and what was left out.
    """
    import tensorflow as tf

    outcome = Outcome(task.split, task.path)
    described = []
    with replaced(task.path) as file:
        with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for item in map(_probe, source.read(task.shard)):
                if isinstance(item, Skipped):
                    outcome.skipped.append((item.id, item.reason))
                    if item.corrupt:
                        outcome.corrupt.append((item.id, item.reason))
                else:
                    writer.write(_serialize(item))
                    outcome.examples += 1
                    described.append(_describe(item))
        write_bytes(task.descriptors, descriptors.encode(described))
    outcome.labels = sorted({each.label for each in described})
    return outcome


class _Probed(NamedTuple):
    record: Record
    probe: Probe


def _probe(item: Record | Skipped) -> _Probed | Skipped:
    if isinstance(item, Skipped):
        return item
    try:
        return _Probed(item, probe_image(item.image))
    except ImageError as error:
        return Skipped(item.id, str(error), corrupt=True)


def _describe(item: _Probed) -> descriptors.Descriptor:
    return descriptors.describe(
        item.probe.pixels,
        encoded=item.record.image,
        name=item.record.id,
        label=item.record.label,
        size=(item.probe.height, item.probe.width),
    )


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
        "height": integer(item.probe.height),
        "width": integer(item.probe.width),
    }
    if item.record.weight is not None:
        weight = tf.train.FloatList(value=[item.record.weight])
        features["weight"] = tf.train.Feature(float_list=weight)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
