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
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.examples import Examples, load_splits, write_examples
from benchmarks.quality import ALL_LABELS, divide
from components.distiller.methods.base import Method
from components.distiller.methods.kd import Kd
from components.distiller.methods.logits_mse import LogitsMse
from components.distiller.objective import Distillation
from components.evaluator.judge.statistics import compare_means
from components.files import read_json
from components.settings.models import ModelSettings
from components.settings.training import AugmentSettings, TrainingJob, Views
from components.teacher_predictions.store import (
    choose_batch_size,
    fingerprint_teacher,
    open_predictions,
    read_logits,
    write_predictions,
)
from components.training.inputs.batches import ordered_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised
from components.training.online_teacher import OnlineTeacher
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
AUGMENT = AugmentSettings(shift=0.1)
NUM_VIEWS = 8
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
    config = load_config(CONFIGS / f"{arguments.experiment}.yaml", overrides=overrides)
    arguments.measure(config, arguments)


def measure_speed(config: Config, arguments: argparse.Namespace) -> None:
    """Prints the seconds of an epoch of each way to train, and of the teacher's pass."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(config, load_splits(config), seed=config.seed, folder=pathlib.Path(folder))
        bench.train_teacher(epochs=1)
        views = Views(number=NUM_VIEWS, seed=config.seed, augment=AUGMENT)
        start = time.perf_counter()
        predictions = bench.predict(views=views)
        print(f"teacher's pass over {NUM_VIEWS} views: {time.perf_counter() - start:.1f} s", flush=True)
        objective = Distillation(METHODS[0])
        teacher = OnlineTeacher(keras_file=bench.teacher_file)
        contenders: dict[str, Callable[[], list[float]]] = {
            "scratch, as it is": lambda: bench.seconds(objective=Supervised()),
            "scratch, augmented": lambda: bench.seconds(objective=Supervised(), augment=AUGMENT),
            "distilled, views": lambda: bench.seconds(
                objective=objective, views=views, predictions=predictions
            ),
            "distilled, online": lambda: bench.seconds(objective=objective, augment=AUGMENT, teacher=teacher),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, train in contenders.items():
                seconds[name] += (found := train())
                print(name, *(f"{each:.2f}" for each in found), flush=True)
    for name, found in seconds.items():
        print(f"{name}: {median(found):.2f} s an epoch ({min(found):.2f} to {max(found):.2f})")


def measure_rounding(config: Config, arguments: argparse.Namespace) -> None:
    """Prints the difference of accuracy between students from rounded and from exact logits."""
    splits = load_splits(config)
    correct: dict[tuple[str, str], list[dict[str, bool]]] = {}
    for seed in range(arguments.seeds):
        division = divide(splits, fold=seed % 5) if arguments.experiment == "digits" else splits
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(config, division, seed=seed, folder=pathlib.Path(folder))
            bench.train_teacher(epochs=min(config.teacher.epochs, ROUNDING_EPOCHS))
            student = config.student.model_copy(
                update={"epochs": min(config.student.epochs, ROUNDING_EPOCHS)}
            )
            exact = bench.predict()
            rounded = list(_round(exact))
            logits, halves = read_logits(exact, at_most=20_000), read_logits(rounded, at_most=20_000)
            print(
                f"seed {seed}: logits of a standard deviation of {logits.std():.2f} and up to "
                f"{abs(logits).max():.1f}; rounded by up to {abs(halves - logits).max():.4f}",
                flush=True,
            )
            for method in METHODS:
                for dtype, predictions in (("float32", exact), ("float16", rounded)):
                    model, _ = bench.train(
                        objective=Distillation(method), settings=student, predictions=predictions
                    )
                    correct.setdefault((method.method, dtype), []).append(bench.test(model))
        _print_rounding(correct)


def _print_rounding(correct: dict[tuple[str, str], list[dict[str, bool]]]) -> None:
    for method in METHODS:
        means = {dtype: _mean_by_image(correct[method.method, dtype]) for dtype in ("float32", "float16")}
        difference = compare_means(means["float16"], baseline=means["float32"], confidence=0.95)
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


def _mean_by_image(correct: Sequence[dict[str, bool]]) -> np.ndarray:
    """Returns the share of the seeds that are right about each image that they were tested on."""
    names = sorted({name for found in correct for name in found})
    return np.array([np.mean([found[name] for found in correct if name in found]) for name in names])


class Bench:
    """Trains and tests models of one seed.

    Args:
      config: The experiment.
      splits: Its images.
      seed: Of the weights and the batches.
      folder: Where everything goes.
    """

    def __init__(
        self, config: Config, splits: dict[str, Examples], *, seed: int, folder: pathlib.Path
    ) -> None:
        self._config = config
        self._seed = seed
        self._folder = folder
        self._files = {split: write_examples(examples, folder / split) for split, examples in splits.items()}
        self._data = TrainingData(
            training_files=self._files["train"],
            num_training_examples=len(splits["train"]),
            validation_files=self._files["validation"],
            num_validation_examples=len(splits["validation"]),
            class_names=[str(label) for label in range(int(splits["train"].labels.max()) + 1)],
        )
        self.teacher_file = str(folder / "teacher.keras")

    def train_teacher(self, *, epochs: int) -> None:
        """Trains the teacher."""
        settings = self._config.teacher.model_copy(update={"epochs": epochs})
        model, _ = self.train(objective=Supervised(), settings=settings)
        model.save(self.teacher_file)

    def predict(self, *, views: Views | None = None) -> list[str]:
        """Stores what the teacher says of the training images, or of their views; returns the files."""
        directory = self._folder / "predictions"
        directory.mkdir()
        fingerprint = fingerprint_teacher(self.teacher_file)
        write_predictions(
            keras.saving.load_model(self.teacher_file, compile=False),
            teacher_fingerprint=fingerprint,
            example_files=self._files["train"],
            image_shape=self._config.image.shape,
            batch_size=choose_batch_size(self._config.image.shape),
            directory=str(directory),
            views=views,
        )
        return open_predictions(
            str(directory),
            teacher_fingerprint=fingerprint,
            num_examples=self._data.num_training_examples,
            example_files=self._files["train"],
            views=views,
        )

    def seconds(self, **settings: Any) -> list[float]:
        """Trains the student and returns the seconds of its epochs but the first."""
        student = self._config.student.model_copy(update={"epochs": 4})
        _, history = self.train(settings=student, **settings)
        return [epoch["seconds"] for epoch in history["epochs"][1:]]

    def train(
        self,
        *,
        objective: keras.losses.Loss,
        settings: ModelSettings | None = None,
        predictions: Sequence[str] = (),
        teacher: OnlineTeacher | None = None,
        augment: AugmentSettings | None = None,
        views: Views | None = None,
    ) -> tuple[keras.Model, dict[str, Any]]:
        """Trains a model, the student unless other settings are given; returns it and its history."""
        job = TrainingJob(
            name="model",
            model=settings or self._config.student,
            image=self._config.image,
            hardware=self._config.hardware,
            seed=self._seed,
            augment=augment,
            views=views,
        )
        with tempfile.TemporaryDirectory() as run_dir:
            model = train_model(
                job,
                dataclasses.replace(self._data, prediction_files=predictions),
                objective=objective,
                run_dir=run_dir,
                teacher=teacher,
            )
            return model, read_json(pathlib.Path(run_dir, "history.json"))

    def test(self, model: keras.Model) -> dict[str, bool]:
        """Returns whether a model is right, by the id of each test image."""
        predict = tf.function(lambda images: tf.argmax(model(images, training=False), axis=-1))
        correct = {}
        for images, targets in ordered_batches(
            self._files["test"], image_shape=self._config.image.shape, batch_size=128
        ):
            right = predict(images) == targets["label"]
            pairs = zip(targets["id"].numpy(), right.numpy(), strict=True)
            correct |= {name.decode(): bool(each) for name, each in pairs}
        return correct


if __name__ == "__main__":
    main()
