"""How many bytes stored predictions take.

    .venv/bin/python -m benchmarks.stored [--images 1281167] [--classes 1000]

Writes the predictions of some images, as TeacherPredictions does, and takes their mean.
"""

import argparse
import pathlib
import tempfile

import numpy as np

from components.teacher_predictions.records import Batch, write_records
from components.training.inputs.stored_logits import pack

SAMPLE = 1_000
STORED: dict[str, tuple[int, int | None]] = {
    "all classes": (1, None),
    "all classes, 8 views": (8, None),
    "the 50 most likely": (1, 50),
    "the 10 most likely": (1, 10),
    "the 10 most likely, 8 views": (8, 10),
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_281_167, help="As many as ImageNet has to train on.")
    parser.add_argument("--classes", type=int, default=1_000)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    logits = random.normal(size=(SAMPLE, max(views for views, _ in STORED.values()), arguments.classes))
    found = {
        name: pack(logits[:, :views].astype(np.float32), top_k=top_k)
        for name, (views, top_k) in STORED.items()
    }
    found["all classes, of an outside teacher"] = logits[:, 0].astype(np.float32)
    print(f"{'stored':36} {'bytes an image':>15} {'GB':>8}")
    for name, each in found.items():
        size = bytes_of_an_image(each)
        print(f"{name:36} {size:15,.0f} {size * arguments.images / 1e9:8.2f}")


def bytes_of_an_image(logits: np.ndarray) -> float:
    """Returns the mean size of a record, with the frame of TFRecord around it."""
    ids = np.array([f"train/n01440764/n01440764_{number}.JPEG".encode() for number in range(SAMPLE)], object)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "predictions")
        write_records(str(path), [Batch(0, ids, logits)])
        return path.stat().st_size / SAMPLE


if __name__ == "__main__":
    main()
