"""The data sets of `configs/` as transformed examples, without TFX."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from components.example_gen import splitting
from components.example_gen.registry import open_source
from components.example_gen.source import Record
from components.settings.models import ImageSettings
from components.transform.pixels import pack_images
from pipeline.config.experiment import Config

_DECODED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images as Transform stores them, `[examples]` each: packed pixels, label and id."""

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: np.ndarray | slice) -> "Examples":
        """Returns some of them, in the order of the indices."""
        return Examples(self.images[indices], self.labels[indices], self.ids[indices])


def concatenate(parts: Iterable[Examples]) -> Examples:
    """Puts examples one after another."""
    images, labels, ids = zip(*((part.images, part.labels, part.ids) for part in parts), strict=True)
    return Examples(np.concatenate(images), np.concatenate(labels), np.concatenate(ids))


def load_splits(config: Config) -> dict[str, Examples]:
    """Reads, decodes and resizes the images of each split, as ExampleGen and Transform do."""
    return {split: transform(records, image=config.image) for split, records in read_splits(config).items()}


def read_splits(config: Config) -> dict[str, list[Record]]:
    """Reads the images of each split as the source has them; those that cannot be decoded are left out."""
    source = open_source(config.data)
    source.prepare()
    return {
        split: [
            record
            for shard in source.shards(split)
            for record in source.read(shard)
            if isinstance(record, Record)
        ]
        for split in config.data.split_names
    }


def transform(records: Sequence[Record], *, image: ImageSettings) -> Examples:
    """Decodes and resizes images as Transform does."""
    pack = tf.function(lambda encoded: pack_images(encoded, image_shape=image.shape, resize=image.resize))
    encoded = [record.image for record in records]
    packed = [
        image
        for start in range(0, len(encoded), _DECODED_AT_ONCE)
        for image in pack(tf.constant(encoded[start : start + _DECODED_AT_ONCE])).numpy()
    ]
    return Examples(
        np.array(packed, dtype=object),
        np.array([record.label for record in records], dtype=np.int64),
        np.array([record.id for record in records], dtype=object),
    )


def write_examples(examples: Examples, directory: pathlib.Path) -> list[str]:
    """Writes examples as Transform does, in shards; returns the files."""
    directory.mkdir(parents=True)
    files = []
    for number, (start, stop) in enumerate(splitting.shard_bounds(len(examples))):
        path = directory / f"transformed_examples-{number:05}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            shard = examples.take(slice(start, stop))
            for image, label, name in zip(shard.images, shard.labels, shard.ids, strict=True):
                feature = (example := tf.train.Example()).features.feature
                feature["image"].bytes_list.value.append(image)
                feature["id"].bytes_list.value.append(name.encode())
                feature["label"].int64_list.value.append(int(label))
                writer.write(example.SerializeToString())
        files.append(str(path))
    return files
