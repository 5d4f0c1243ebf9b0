"""How many bytes stored predictions take.

    .venv/bin/python -m benchmarks.stored [--images 1281167] [--classes 1000]

Writes the predictions of some images, as TeacherPredictions does, and takes their mean.
"""

import argparse
import pathlib
import tempfile

import numpy as np

from components.teacher_predictions.records import Batch, write_records

SAMPLE = 10_000
SHAPES = {
    "float16": (1, np.float16),
    "float16, 8 views": (8, np.float16),
    "float32, outside": (0, np.float32),
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_281_167, help="As many as ImageNet has to train on.")
    parser.add_argument("--classes", type=int, default=1_000)
    arguments = parser.parse_args()
    print(f"{'stored':20} {'bytes an image':>15} {'GB':>8}")
    for name, (views, dtype) in SHAPES.items():
        shape = (SAMPLE, views, arguments.classes) if views else (SAMPLE, arguments.classes)
        size = bytes_of_an_image(np.random.default_rng(0).normal(size=shape).astype(dtype))
        print(f"{name:20} {size:15,.0f} {size * arguments.images / 1e9:8.2f}")


def bytes_of_an_image(logits: np.ndarray) -> float:
    """Returns the mean size of a record, with the frame of TFRecord around it."""
    ids = np.array([f"train/n01440764/n01440764_{number}.JPEG".encode() for number in range(SAMPLE)], object)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "predictions")
        write_records(str(path), [Batch(0, ids, logits)])
        return path.stat().st_size / SAMPLE


if __name__ == "__main__":
    main()
