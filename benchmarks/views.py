"""What stored views of the training images cost, and whether storing their logits in float16 costs accuracy.

    .venv/bin/python -m benchmarks.views speed --data-dir DIR [--rounds 5]
    .venv/bin/python -m benchmarks.views rounding digits [--seeds 5]
    .venv/bin/python -m benchmarks.views rounding mnist --data-dir DIR [--seeds 3]

`--data-dir` holds MNIST in TFDS's format, of which 10,000 images are trained on. `speed` trains the student
in turns: from scratch on images as they are and on augmented ones, from stored predictions for 8 views, and
with the teacher in the step; it prints the median seconds of an epoch, the first of each training left out.
`rounding` trains students of each seed twice, from the teacher's logits in float32 and from the same logits
rounded to float16, for at most 10 epochs, and compares their accuracy on the same test images: on digits each
seed tests another fifth of all images.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np
import tensorflow as tf

from benchmarks.bench import Bench, Images, Trained
from benchmarks.examples import load_splits
from benchmarks.outcomes import CONFIDENCE, mean_correct
from benchmarks.quality import ALL_LABELS, FOLDS, divide
from components.distiller.methods.base import Method
from components.distiller.methods.kd import Kd
from components.distiller.methods.logits_mse import LogitsMse
from components.evaluator.judge.statistics import compare_means
from components.settings.models import ModelSettings
from components.teacher_predictions.store import read_logits
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
AUGMENT = "augment={shift: 0.1}"
NUM_VIEWS = 8
SPEED_EPOCHS = 4
ROUNDING_EPOCHS = 10
METHODS: tuple[Method, ...] = (
    Kd(name="student", method="kd", temperature=2.0),
    LogitsMse(name="student", method="logits_mse", student_loss_weight=0.0),
)


def main() -> None:
    """Measures what is asked for and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(required=True)
    speed = what.add_parser("speed")
    speed.set_defaults(measure=measure_speed, experiment="mnist")
    speed.add_argument("--data-dir", required=True)
    speed.add_argument("--rounds", type=int, default=5)
    rounding = what.add_parser("rounding")
    rounding.set_defaults(measure=measure_rounding)
    rounding.add_argument("experiment", choices=("digits", "mnist"))
    rounding.add_argument("--data-dir")
    rounding.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    overrides: Sequence[str] = ALL_LABELS
    if arguments.experiment == "mnist":
        overrides = [
            f"data.data_dir={arguments.data_dir}",
            "data.splits.train='train[:10000]'",
            "data.splits.validation='train[-2000:]'",
        ]
    arguments.measure(arguments, overrides)


def measure_speed(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Prints the seconds of an epoch of each way to train, and of the teacher's pass."""
    epochs = ("teacher.epochs=1", f"student.epochs={SPEED_EPOCHS}")
    plain, views, online = (
        _load(arguments, [*overrides, *epochs, *changes])
        for changes in (
            (),
            (AUGMENT, f"teacher_predictions={{views: {NUM_VIEWS}}}"),
            (AUGMENT, "teacher_predictions=online"),
        )
    )
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        images = Images.write(load_splits(plain), folder / "examples")
        as_it_is, from_views, from_online = (
            Bench(config, images, seed=config.seed, folder=folder) for config in (plain, views, online)
        )
        as_it_is.train_teacher()
        start = time.perf_counter()
        from_views.predict()
        print(f"teacher's pass over {NUM_VIEWS} views: {time.perf_counter() - start:.1f} s", flush=True)
        contenders: dict[str, Callable[[], Trained]] = {
            "scratch, as it is": lambda: as_it_is.train("scratch", plain.student),
            "scratch, augmented": lambda: from_views.train("scratch", plain.student),
            "distilled, views": lambda: from_views.distil("distilled", METHODS[0]),
            "distilled, online": lambda: from_online.distil("distilled", METHODS[0]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, train in contenders.items():
                found = [float(epoch["seconds"]) for epoch in train().epochs[1:]]
                seconds[name] += found
                print(name, *(f"{each:.2f}" for each in found), flush=True)
    for name, found in seconds.items():
        print(f"{name}: {median(found):.2f} s an epoch ({min(found):.2f} to {max(found):.2f})")


def measure_rounding(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Prints the difference of accuracy between students from rounded and from exact logits."""
    config = _load(arguments, overrides)
    config = config.model_copy(
        update={"teacher": _shortened(config.teacher), "student": _shortened(config.student)}
    )
    splits = load_splits(config)
    correct: dict[tuple[str, str], list[dict[str, bool]]] = {}
    for seed in range(arguments.seeds):
        division = divide(splits, fold=seed % FOLDS) if arguments.experiment == "digits" else splits
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            images = Images.write(division, folder / "examples")
            bench = Bench(config, images, seed=seed, folder=folder)
            bench.train_teacher()
            exact = bench.predict()
            rounded = {split: list(_round(files)) for split, files in exact.items()}
            logits, halves = (read_logits(each["train"], at_most=20_000) for each in (exact, rounded))
            print(
                f"seed {seed}: logits of a standard deviation of {logits.std():.2f} and up to "
                f"{abs(logits).max():.1f}; rounded by up to {abs(halves - logits).max():.4f}",
                flush=True,
            )
            for method in METHODS:
                for dtype, predictions in (("float32", exact), ("float16", rounded)):
                    trained = bench.distil("distilled", method, predictions=predictions)
                    correct.setdefault((method.method, dtype), []).append(bench.test(trained))
        _print_rounding(correct)


def _load(arguments: argparse.Namespace, overrides: Sequence[str]) -> Config:
    return load_config(CONFIGS / f"{arguments.experiment}.yaml", overrides=overrides)


def _shortened(settings: ModelSettings) -> ModelSettings:
    return settings.model_copy(update={"epochs": min(settings.epochs, ROUNDING_EPOCHS)})


def _print_rounding(correct: dict[tuple[str, str], list[dict[str, bool]]]) -> None:
    for method in METHODS:
        means = {dtype: mean_correct(correct[method.method, dtype]) for dtype in ("float32", "float16")}
        difference = compare_means(
            lambda means=means: [means["float16"] - means["float32"]], confidence=CONFIDENCE
        )
        print(
            f"{method.method}: float32 {means['float32'].mean():.2%}, float16 {means['float16'].mean():.2%}; "
            f"{100 * difference.estimate:+.2f} points [{100 * difference.low:+.2f}, "
            f"{100 * difference.high:+.2f}] on {len(means['float32'])} test images",
            flush=True,
        )


def _round(files: Sequence[str]) -> Iterator[str]:
    """Writes stored predictions again with logits that have gone through float16; yields the files."""
    for file in files:
        path = f"{file}.rounded"
        with tf.io.TFRecordWriter(path) as writer:
            for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                logits = example.features.feature["logits"].float_list.value
                logits[:] = np.float16(logits).astype(np.float32)
                writer.write(example.SerializeToString())
        yield path


if __name__ == "__main__":
    main()
