"""What it costs a student that its images of 32x32 are copies in JPEG, as those of CIFAR-10 are here.

    .venv/bin/python -m benchmarks.copies --data-dir DIR [--seeds 2]

`--data-dir` holds cats_vs_dogs in TFDS's format. Its photographs are reduced to 32x32, which leaves little of
what their own compression did to them. ResNet-20 is trained, validated and tested on them as they are and,
with the same seed, on copies of quality 75 that keep the colours at half the resolution.
"""

import argparse
import pathlib
import tempfile
from collections.abc import Sequence

import tensorflow as tf

from benchmarks.bench import Bench, Images
from benchmarks.examples import Examples, load_splits, transform
from benchmarks.outcomes import describe_difference, mean_correct
from benchmarks.quality import TEST_ON_A_FIFTH
from components.example_gen.source import Record
from components.settings.models import ImageSettings
from pipeline.config.loading import load_config

CONFIG = pathlib.Path(__file__).parent.parent / "configs/cats_vs_dogs_small.yaml"
QUALITY = 75
OVERRIDES = (
    TEST_ON_A_FIFTH,
    "image={height: 32, width: 32, channels: 3}",
    "student={architecture: resnet20, epochs: 20, batch_size: 128, learning_rate: 0.1, "
    "optimizer: {name: sgd, weight_decay: 0.005}, schedule: one_cycle}",
    "augment={horizontal_flip: true, padded_crop: 4}",
    "teacher_predictions=online",  # Without stored ones an experiment may augment; nothing is distilled here.
)


def main() -> None:
    """Trains with every seed on both, and prints how often each test image was classified correctly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    config = load_config(CONFIG, overrides=[*OVERRIDES, f"data.data_dir={arguments.data_dir}"])
    originals = load_splits(config)
    copies = {split: copy_as_jpeg(examples, image=config.image) for split, examples in originals.items()}
    correct: dict[str, list[dict[str, bool]]] = {"originals": [], "copies": []}
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(arguments.seeds):
            for name, splits in (("originals", originals), ("copies", copies)):
                folder = pathlib.Path(directory) / name
                images = Images.write(splits, folder / "examples")
                bench = Bench(config, images, seed=seed, folder=folder)
                correct[name].append(bench.test(bench.train(f"student-{seed}", config.student)))
                accuracy = mean_correct(correct[name][-1:]).mean()
                print(f"seed {seed}, {name}: {accuracy:.2%}", flush=True)
    found = {name: mean_correct(outcomes) for name, outcomes in correct.items()}
    print(
        *(f"{name}: {right.mean():.2%};" for name, right in found.items()),
        f"{describe_difference(found['copies'], found['originals'])} points on {len(found['copies'])} images",
    )


def copy_as_jpeg(examples: Examples, *, image: ImageSettings) -> Examples:
    """Compresses transformed images and decodes them again as Transform does."""

    def copy(packed: bytes) -> bytes:
        pixels = tf.reshape(tf.io.decode_raw(packed, tf.uint8), image.shape)
        return tf.io.encode_jpeg(pixels, quality=QUALITY, chroma_downsampling=True).numpy()

    records: Sequence[Record] = [
        Record(id=name, image=copy(packed), label=int(label))
        for packed, label, name in zip(examples.images, examples.labels, examples.ids, strict=True)
    ]
    return transform(records, image=image)


if __name__ == "__main__":
    main()
