"""What stored views of the training images cost, and what it costs to store logits less exactly.

    .venv/bin/python -m benchmarks.views speed --data-dir DIR [--rounds 5]
    .venv/bin/python -m benchmarks.views storing digits [--seeds 5]
    .venv/bin/python -m benchmarks.views storing mnist --data-dir DIR [--seeds 3]

`--data-dir` holds MNIST in TFDS's format, of which 10,000 images are trained on. `speed` trains the student
in turns: from scratch on images as they are and on augmented ones, from stored predictions for 8 views, and
with the teacher in the step; it prints the median seconds of an epoch, the first of each training left out.
`storing` trains students of each seed from the teacher's logits in float32, from those that are stored, in
float16, and, by `kd`, from those of the most likely classes alone, for at most 10 epochs, and compares their
accuracy on the same test images: on digits each seed tests another fifth of all images.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import keras
import numpy as np
from scipy.special import softmax

from benchmarks.bench import Bench, Images, Trained
from benchmarks.examples import load_splits
from benchmarks.outcomes import describe_difference, mean_correct
from benchmarks.quality import ALL_LABELS, FOLDS, divide
from components.distiller.methods.base import Method
from components.distiller.methods.kd import Kd
from components.distiller.methods.logits_mse import LogitsMse
from components.settings.models import ModelSettings
from components.teacher_predictions.records import Batch, write_records
from components.teacher_predictions.shard_writer import choose_batch_size
from components.teacher_predictions.store import read_logits
from components.training.inputs.batches import batches_of_file
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
AUGMENT = "augment={shift: 0.1}"
NUM_VIEWS = 8
SPEED_EPOCHS = 4
STORING_EPOCHS = 10
TOP_K = (4, 2, 1)
EXACT = "float32"
TEMPERATURE = 2.0
METHODS: tuple[Method, ...] = (
    Kd(name="student", method="kd", temperature=TEMPERATURE),
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
    storing = what.add_parser("storing")
    storing.set_defaults(measure=measure_storing)
    storing.add_argument("experiment", choices=("digits", "mnist"))
    storing.add_argument("--data-dir")
    storing.add_argument("--seeds", type=int, default=5)
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


def measure_storing(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Prints the difference of accuracy between students from stored and from exact logits."""
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
            teacher = bench.train_teacher().model
            rounded = bench.predict()
            exact = {
                split: list(_predict(teacher, images.files[split], config=config, folder=folder / split))
                for split in rounded
            }
            _print_logits(exact["train"], rounded["train"], num_classes=images.num_classes, seed=seed)
            stored = {EXACT: exact, "float16": rounded}
            stored |= {f"the {top_k} most likely": bench.predict(top_k=top_k) for top_k in TOP_K}
            for method in METHODS:
                for name, predictions in stored.items():
                    if method.needs_all_logits and name not in (EXACT, "float16"):
                        continue
                    trained = bench.distil("distilled", method, predictions=predictions)
                    correct.setdefault((method.method, name), []).append(bench.test(trained))
    _print_difference(correct)


def _print_logits(exact: Sequence[str], rounded: Sequence[str], *, num_classes: int, seed: int) -> None:
    logits, halves = (read_logits(each, num_classes=num_classes, at_most=20_000) for each in (exact, rounded))
    print(
        f"seed {seed}: logits of a standard deviation of {logits.std():.2f} and up to "
        f"{abs(logits).max():.1f}; rounded by up to {abs(halves - logits).max():.4f}"
    )
    ranked = np.sort(softmax(logits / TEMPERATURE, axis=-1), axis=-1)
    spread = {top_k: ranked[:, :-top_k].sum(axis=-1).mean() for top_k in TOP_K}
    print(
        f"beyond the most likely, at temperature {TEMPERATURE:g}:", {k: f"{p:.2%}" for k, p in spread.items()}
    )


def _load(arguments: argparse.Namespace, overrides: Sequence[str]) -> Config:
    return load_config(CONFIGS / f"{arguments.experiment}.yaml", overrides=overrides)


def _shortened(settings: ModelSettings) -> ModelSettings:
    return settings.model_copy(update={"epochs": min(settings.epochs, STORING_EPOCHS)})


def _print_difference(correct: dict[tuple[str, str], list[dict[str, bool]]]) -> None:
    for (method, name), outcomes in correct.items():
        exact, stored = (mean_correct(each) for each in (correct[method, EXACT], outcomes))
        print(
            f"{method}, {name}: {stored.mean():.2%}; {describe_difference(stored, exact)} points "
            f"on {len(stored)} test images",
            flush=True,
        )


def _predict(
    teacher: keras.Model, files: Sequence[str], *, config: Config, folder: pathlib.Path
) -> Iterator[str]:
    """Stores a teacher's logits in float32, as those of an outside teacher are; yields the files."""
    folder.mkdir()
    size = choose_batch_size(config.image.shape)
    for file in files:
        path = str(folder / pathlib.Path(file).name)
        batches = batches_of_file(file, image_shape=config.image.shape, batch_size=size)
        predicted = (
            Batch(0, ids.numpy(), keras.ops.convert_to_numpy(teacher(images, training=False)))
            for images, ids in batches
        )
        write_records(path, predicted)
        yield path


if __name__ == "__main__":
    main()
