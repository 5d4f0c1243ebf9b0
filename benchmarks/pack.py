"""Writes the images of a configuration, encoded, into one file.

    .venv/bin/python -m benchmarks.pack CONFIG images.npz --data-dir DIR

An image that has the configuration's size already stays as the source has it. Others are resized as Transform
does, and kept as JPEG of quality 95 with the colours of every pixel, which is not quite lossless. No
TensorFlow is needed to read the file.
"""

import argparse
import io
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from benchmarks.examples import read_splits, transform
from components.example_gen.source import Record
from components.settings.models import ImageSettings
from pipeline.config.loading import load_config

_QUALITY = 95


def main() -> None:
    """Packs the images, labels and ids of each split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--data-dir", help="Where TFDS's data is prepared already.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args()
    data_dir = [f"data.data_dir={arguments.data_dir}"] if arguments.data_dir else []
    config = load_config(arguments.config, overrides=[*data_dir, *arguments.overrides])
    arrays = {}
    for split, records in read_splits(config).items():
        images = list(_encode(records, image=config.image))
        arrays[f"{split}_bytes"] = np.frombuffer(b"".join(images), np.uint8)
        arrays[f"{split}_ends"] = np.cumsum([len(image) for image in images])
        arrays[f"{split}_labels"] = np.array([record.label for record in records], np.int32)
        arrays[f"{split}_ids"] = np.array([record.id for record in records])
    np.savez_compressed(arguments.output, **arrays)


def _encode(records: Sequence[Record], *, image: ImageSettings) -> Iterator[bytes]:
    """Yields each image in the size of the settings: the source's own, or one that was resized."""
    others = iter(transform([record for record in records if not _fits(record, image)], image=image).images)
    for record in records:
        yield record.image if _fits(record, image) else _to_jpeg(next(others), image.shape)


def _fits(record: Record, image: ImageSettings) -> bool:
    return Image.open(io.BytesIO(record.image)).size == (image.width, image.height)


def _to_jpeg(packed: bytes, image_shape: tuple[int, int, int]) -> bytes:
    pixels = np.frombuffer(packed, np.uint8).reshape(image_shape)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "jpeg", quality=_QUALITY, subsampling=0)
    return file.getvalue()


if __name__ == "__main__":
    main()
