"""What distillation costs, against the student alone and against the Distillers people use.

    .venv/bin/python -m benchmarks.speed mnist --data-dir DIR [--rounds 3]
    .venv/bin/python -m benchmarks.speed cats_vs_dogs --data-dir DIR [--rounds 3] [--images 2000]

`--data-dir` holds MNIST and cats_vs_dogs in TFDS's format. MNIST: 60,000 images, lab 2's models, 5 epochs in
batches of 32. cats_vs_dogs: `--images` of its photographs at 224x224, lab 1's models, 5 epochs in batches of
32. The contenders train in turns, ours in one process and the others in another, since the threads that ours
chooses as `distill run` does are a whole process's. Teachers are untrained: their weights do not matter for
time. Ours runs with `precision: auto`, from the examples as Transform stores them, and validates as often as
the lab it stands beside: lab 1 after each epoch, lab 2 never (ours on 32 images).
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import pathlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.examples import Examples, load_splits, write_examples
from benchmarks.labs import Lab1Distiller, Lab2Distiller, lab1_batches
from benchmarks.predictions import store_predictions
from benchmarks.table import Row, Seconds, ratios, report, take_turns
from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.models import registry
from components.models.building import build_model
from components.settings.models import ModelSettings
from components.settings.training import HardwareSettings, TrainingJob
from components.training.hardware.precision import resolve_precision
from components.training.inputs.batches import epoch_counter, training_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised
from components.transform.pixels import unpack_images
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
EPOCHS = 5
BATCH_SIZE = 32
PREDICTION_BATCHES = (64, 128, 256, 512)


def main() -> None:
    """Runs the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data-dir", required=True, help="Where TFDS's data is prepared already.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=2000, help="Of cats_vs_dogs, to train on.")
    arguments = parser.parse_args()
    command = shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        seconds, rows = EXPERIMENTS[arguments.experiment](arguments, pathlib.Path(folder))
    report(f"speed_{arguments.experiment}", rows, measured=seconds, command=command)


def measure_mnist(arguments: argparse.Namespace, folder: pathlib.Path) -> tuple[Seconds, list[Row]]:
    """Measures on MNIST, beside lab 2 and `keras.distillation`."""
    config = load_config(
        CONFIGS / "mnist.yaml",
        overrides=[
            f"data.data_dir={arguments.data_dir}",
            "data.splits.train=train",
            "hardware.precision=auto",
            "data.splits.validation='test[:32]'",
            "data.splits.test='test[32:]'",
        ],
    )
    splits = load_splits(config)
    bench = Bench(config, training=splits["train"], validation=splits["validation"], folder=folder)
    rivals = {"lab 2's Distiller": _fit_lab2, "keras.distillation": _fit_keras, "plain fit": _fit_plain}
    with _others(bench.models, _lab2_data, bench.images(), splits["train"].labels) as run:
        contenders = bench.contenders() | {name: functools.partial(run, fit) for name, fit in rivals.items()}
        seconds = take_turns(contenders, rounds=arguments.rounds)
    ours = bench.pass_and_epochs(seconds)
    rows = [
        Row(
            name="teacher pass + 5 distilled epochs / lab 2's Distiller",
            ratios=ratios(ours, seconds["lab 2's Distiller"]),
            bound=0.40,
        ),
        Row(
            name="teacher pass + 5 distilled epochs / keras.distillation",
            ratios=ratios(ours, seconds["keras.distillation"]),
            bound=0.45,
        ),
        *bench.rows(seconds),
    ]
    return seconds, rows


def measure_cats_vs_dogs(arguments: argparse.Namespace, folder: pathlib.Path) -> tuple[Seconds, list[Row]]:
    """Measures on photographs at 224x224, beside lab 1."""
    count, held_out = arguments.images, arguments.images // 8
    train, validation = f"train[:{count}]", f"train[{count}:{count + held_out}]"
    config = load_config(
        CONFIGS / "cats_vs_dogs.yaml",
        overrides=[
            f"data.data_dir={arguments.data_dir}",
            f"data.splits.train='{train}'",
            f"data.splits.validation='{validation}'",
            "data.splits.test='train[-32:]'",
        ],
    )
    splits = load_splits(config)
    bench = Bench(config, training=splits["train"], validation=splits["validation"], folder=folder)
    with _others(bench.models, _lab1_data, arguments.data_dir, train, validation, config.image.height) as run:
        contenders = bench.contenders() | {"lab 1's Distiller": functools.partial(run, _fit_lab1)}
        seconds = take_turns(contenders, rounds=arguments.rounds)
    rows = [
        Row(
            name="teacher pass + 5 distilled epochs / lab 1's Distiller, 224x224",
            ratios=ratios(bench.pass_and_epochs(seconds), seconds["lab 1's Distiller"]),
            bound=0.35,
        ),
        *bench.rows(seconds),
    ]
    return seconds, rows


EXPERIMENTS: dict[str, Callable[[argparse.Namespace, pathlib.Path], tuple[Seconds, list[Row]]]] = {
    "mnist": measure_mnist,
    "cats_vs_dogs": measure_cats_vs_dogs,
}


@dataclasses.dataclass(frozen=True)
class Models:
    """Builds the models of a configuration, with so many outputs."""

    config: Config
    num_classes: int

    def student(self) -> keras.Model:
        """Builds the student as the labs have it."""
        return self.build(self.config.student)

    def teacher(self, *, precision: str = "float32") -> keras.Model:
        """Builds the teacher, by default as the labs have it."""
        return self.build(self.config.teacher, precision=precision)

    def build(self, settings: ModelSettings, *, precision: str = "float32") -> keras.Model:
        """Builds a model."""
        return build_model(
            registry.load(settings.architecture),
            name=settings.architecture,
            image_shape=self.config.image.shape,
            num_classes=self.num_classes,
            precision=precision,
        )


class Bench:
    """What is measured of this project on one data set.

    Args:
      config: Says models, image size and precision.
      training: What to train on.
      validation: What to validate on after each epoch.
      folder: Where files go.
    """

    def __init__(
        self, config: Config, *, training: Examples, validation: Examples, folder: pathlib.Path
    ) -> None:
        self._config = config
        self._training = training
        self._folder = folder
        self._precision = resolve_precision(config.hardware.precision)
        self._numbers = itertools.count()
        self.num_classes = int(training.labels.max()) + 1
        self._data = TrainingData(
            training_files=write_examples(training, folder / "train"),
            num_training_examples=len(training),
            validation_files=write_examples(validation, folder / "validation"),
            num_validation_examples=len(validation),
            class_names=[str(label) for label in range(self.num_classes)],
        )
        self._job = TrainingJob(
            name="student",
            model=config.student.model_copy(
                update={"epochs": EPOCHS, "batch_size": BATCH_SIZE, "learning_rate": 0.001}
            ),
            image=config.image,
            hardware=HardwareSettings(precision=self._precision),
            seed=0,
        )
        self.models = Models(config, self.num_classes)
        self._teacher = self.models.teacher(precision=self._precision)
        self._teacher_file = folder / "teacher.keras"
        self._teacher.save(self._teacher_file)
        self._predictions = self._write_predictions()

    def images(self) -> np.ndarray:
        """Returns the training images, uint8 `[images, height, width, channels]`."""
        pixels = np.frombuffer(b"".join(self._training.images), np.uint8)
        return pixels.reshape(-1, *self._config.image.shape)

    def contenders(self) -> dict[str, Callable[[], object]]:
        """Returns what to time of this project, and the parts it is made of."""
        batches = [
            tf.constant(self._training.images[start : start + 512])
            for start in range(0, len(self._training), 512)
        ]
        size = self._best_batch_size(batches)
        return {
            "scratch": lambda: self._train(Supervised()),
            "distilled": lambda: self._train(
                Distillation(Kd(name="student", method="kd")), predictions=self._predictions
            ),
            "TeacherPredictions": self._write_predictions,
            "teacher forwards": lambda: self._forward(batches, size=size),
            "reading": self._read,
        }

    def pass_and_epochs(self, seconds: Seconds) -> list[float]:
        """Returns the seconds of one teacher pass and the distilled epochs, of each round."""
        pairs = zip(seconds["TeacherPredictions"], seconds["distilled"], strict=True)
        return [sum(pair) for pair in pairs]

    def rows(self, seconds: Seconds) -> list[Row]:
        """Returns the rows that look at this project alone."""
        return [
            Row(
                name="a distilled epoch from stored predictions / a scratch epoch",
                ratios=ratios(seconds["distilled"], seconds["scratch"]),
                bound=1.05,
            ),
            Row(
                name="TeacherPredictions / a bare loop of teacher forwards",
                ratios=ratios(seconds["TeacherPredictions"], seconds["teacher forwards"]),
                bound=1.15,
            ),
            Row(
                name="reading stored examples / the student's training rate",
                ratios=[
                    train / EPOCHS / read
                    for train, read in zip(seconds["scratch"], seconds["reading"], strict=True)
                ],
                bound=3,
                sense="at least",
            ),
        ]

    def _train(self, objective: keras.losses.Loss, *, predictions: Sequence[str] = ()) -> None:
        train_model(
            self._job,
            dataclasses.replace(self._data, prediction_files=predictions),
            objective=objective,
            run_dir=str(self._folder / f"run-{next(self._numbers)}"),
        )

    def _write_predictions(self) -> Sequence[str]:
        return store_predictions(
            self._teacher_file,
            {"train": self._data.training_files},
            image_shape=self._config.image.shape,
            directory=self._folder / f"predictions-{next(self._numbers)}",
        )["train"]

    def _best_batch_size(self, batches: list[tf.Tensor]) -> int:
        """Tries batch sizes on a part of the images; returns the fastest."""
        part = batches[: max(1, len(batches) // 8)]
        seconds = {}
        for size in PREDICTION_BATCHES:
            start = time.perf_counter()
            self._forward(part, size=size)
            seconds[size] = time.perf_counter() - start
        return min(seconds, key=lambda size: seconds[size])

    def _forward(self, batches: list[tf.Tensor], *, size: int) -> None:
        """Runs the teacher over images in memory, compiled, and keeps nothing."""
        teacher = self._teacher
        shape = self._config.image.shape
        predict = tf.function(
            lambda packed: teacher(unpack_images(packed, image_shape=shape), training=False),
            reduce_retracing=True,
        )
        for packed in batches:
            for start in range(0, len(packed), size):
                predict(packed[start : start + size]).numpy()

    def _read(self) -> None:
        """Reads the batches of one epoch, with the teacher's predictions, and does nothing with them."""
        data = dataclasses.replace(self._data, prediction_files=self._predictions)
        batches = training_batches(data, self._job, epoch=epoch_counter())
        batches.reduce(np.int64(0), lambda count, _: count + 1).numpy()


@contextlib.contextmanager
def _others(
    models: Models, load: Callable[..., tuple[Any, Any]], *arguments: Any
) -> Iterator[Callable[[Callable[..., None]], None]]:
    """Starts a process for the contenders that are not ours; yields what trains one of them there."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(models, load, arguments)) as process:
        process.submit(tf.zeros, [1]).result()  # The start of process and TensorFlow is nobody's time.
        yield lambda fit: process.submit(_run_other, fit).result()


# What the process of the other contenders trains, and on what.
_prepared: dict[str, Any] = {}


def _prepare(models: Models, load: Callable[..., tuple[Any, Any]], arguments: tuple[Any, ...]) -> None:
    _prepared["models"], _prepared["data"] = models, load(*arguments)


def _run_other(fit: Callable[..., None]) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    fit(_prepared["models"], *_prepared["data"])


def _lab1_data(
    data_dir: str, train: str, validation: str, pixels: int
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    load = functools.partial(tfds.load, "cats_vs_dogs", data_dir=data_dir, as_supervised=True)
    training = load(split=train)
    return (
        lab1_batches(training, pixels=pixels, shuffled=len(training) // 4),
        lab1_batches(load(split=validation), pixels=pixels),
    )


def _lab2_data(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images / 255.0, labels


def _fit_lab1(models: Models, training: tf.data.Dataset, validation: tf.data.Dataset) -> None:
    distiller = Lab1Distiller(student=models.student(), teacher=models.teacher())
    distiller.compile(optimizer=keras.optimizers.Adam())
    distiller.fit(training, epochs=EPOCHS, validation_data=validation, verbose=0)


def _fit_lab2(models: Models, images: np.ndarray, labels: np.ndarray) -> None:
    distiller = Lab2Distiller(student=models.student(), teacher=models.teacher())
    distiller.compile(optimizer=keras.optimizers.Adam())
    distiller.fit(images, keras.utils.to_categorical(labels), epochs=EPOCHS, verbose=0)


def _fit_keras(models: Models, images: np.ndarray, labels: np.ndarray) -> None:
    distiller = keras.distillation.Distiller(
        teacher=models.teacher(),
        student=models.student(),
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=4.0, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=0.1,
    )
    distiller.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    distiller.fit(images, labels, epochs=EPOCHS, verbose=0)


def _fit_plain(models: Models, images: np.ndarray, labels: np.ndarray) -> None:
    student = models.student()
    student.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    student.fit(images, labels, epochs=EPOCHS, verbose=0)


if __name__ == "__main__":
    main()
