"""Writes the images of a configuration, still encoded, into one file.

    .venv/bin/python -m benchmarks.pack configs/cifar10_fast.yaml cifar10.npz --data-dir DIR

No TensorFlow is needed to read it.
"""

import argparse
import pathlib

import numpy as np

from components.example_gen.registry import open_source
from components.example_gen.source import Record
from pipeline.config.loading import load_config


def main() -> None:
    """Packs the images, labels and ids of each split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--data-dir", required=True, help="Where TFDS's data is prepared already.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args()
    config = load_config(
        arguments.config, overrides=[f"data.data_dir={arguments.data_dir}", *arguments.overrides]
    )
    source = open_source(config.data)
    source.prepare()
    arrays = {}
    for split in config.data.split_names:
        read = (record for shard in source.shards(split) for record in source.read(shard))
        records = [record for record in read if isinstance(record, Record)]
        arrays[f"{split}_bytes"] = np.frombuffer(b"".join(record.image for record in records), np.uint8)
        arrays[f"{split}_ends"] = np.cumsum([len(record.image) for record in records])
        arrays[f"{split}_labels"] = np.array([record.label for record in records], np.int32)
        arrays[f"{split}_ids"] = np.array([record.id for record in records])
    np.savez_compressed(arguments.output, **arrays)


if __name__ == "__main__":
    main()
