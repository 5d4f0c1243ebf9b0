"""Whether distillation works: teacher, scratch and every method, over several seeds.

    .venv/bin/python -m benchmarks.quality digits mnist cats_vs_dogs --data-dir DIR --work DIR

`--data-dir` holds MNIST and cats_vs_dogs in TFDS's format. Models, image size, epochs, batches and precision
are those of `configs/`, but for the digits, which have all their labels here. The students of a seed start
from the same weights and see the same batches in the same order. Of each method, the settings of `VARIANTS`
with the best mean validation accuracy are reported, on test images that chose nothing. Where one test split
is too small for a verdict, the images are divided into five folds; each seed is tested on another one.

Prints a table a data set and writes it to `benchmarks/results/quality.json`. What has been trained lies in
`--work` and is not trained again.
"""

import argparse
import dataclasses
import functools
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from pydantic import TypeAdapter
from scipy import stats

from benchmarks.examples import Examples, concatenate, load_splits, write_examples
from components.distiller.methods.base import Method
from components.distiller.objective import Distillation
from components.distiller.registry import METHODS, DistillationSettings
from components.evaluator.judge.statistics import compare_means, gap_closed
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.example_gen import splitting
from components.files import read_json, write_json
from components.settings.models import ModelSettings
from components.settings.training import TrainingJob
from components.teacher_predictions.store import fingerprint_teacher, open_predictions, write_predictions
from components.training.inputs.batches import ordered_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised
from components.training.online_teacher import OnlineTeacher
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/quality.json"
CONFIDENCE = 0.95
FOLDS = 5
_BATCH_SIZE = 128

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "kd": (
        {"temperature": 2.0, "student_loss_weight": 0.1},
        {"temperature": 4.0, "student_loss_weight": 0.5},
    ),
    "kd, standardised": ({"temperature": 2.0, "student_loss_weight": 0.5, "standardise_logits": True},),
    "dkd": ({"temperature": 4.0, "warmup_epochs": 1, "non_target_weight": 2.0},),
    "dist": ({"temperature": 4.0},),
    "logits_mse": ({"student_loss_weight": 0.5},),
    "hint": ({"temperature": 4.0, "student_loss_weight": 0.5},),
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is compared on one data set.

    Attributes:
      config: A file of `configs/`.
      fold_of_seed: The fold that each seed is tested on; None is the data set's own test split.
      hint: The layer of the teacher, and the layer of the student that is to resemble it.
      overrides: What is set otherwise than in that file.
    """

    config: str
    fold_of_seed: Mapping[int, int | None]
    hint: tuple[str, str]
    overrides: tuple[str, ...] = ()


# The demo's own experiment, on few labels, is that of `benchmarks.demo`.
ALL_LABELS = (
    "data.labelled_fraction=1",
    "teacher.batch_size=32",
    "student={architecture: digits_student, epochs: 60, batch_size: 32, learning_rate: 0.003}",
)

EXPERIMENTS = {
    "digits": Experiment(
        "digits.yaml",
        {seed: seed for seed in range(FOLDS)},
        hint=("dense", "dense"),
        overrides=ALL_LABELS,
    ),
    "mnist": Experiment(
        "mnist.yaml",
        dict.fromkeys(range(3), None),
        hint=("average_pooling2d_1", "average_pooling2d_1"),
    ),
    "cats_vs_dogs": Experiment(
        "cats_vs_dogs_small.yaml",
        {seed: seed for seed in range(3)},
        hint=("max_pooling2d", "max_pooling2d"),
    ),
}


def main() -> None:
    """Trains what is missing, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--data-dir", help="Where TFDS's data is prepared already.")
    parser.add_argument("--methods", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="METHOD")
    parser.add_argument("--precision", help="Instead of that of the configuration.")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="Where what is trained is kept.")
    arguments = parser.parse_args()
    results = read_json(RESULTS) if RESULTS.exists() else {}
    overrides = [f"hardware.precision={arguments.precision}"] if arguments.precision else []
    for name in arguments.experiments:
        title = f"{name} in {arguments.precision}" if arguments.precision else name
        source = [f"data.data_dir={arguments.data_dir}"] if arguments.data_dir and name != "digits" else []
        runs = train_all(
            EXPERIMENTS[name],
            methods=arguments.methods,
            overrides=overrides + source,
            work=arguments.work / title,
        )
        results[title] = summarise(list(runs))
        results["machine"], results["versions"] = describe_machine(), describe_versions()
        RESULTS.parent.mkdir(exist_ok=True)
        write_json(RESULTS, results)
        print_table(title, results[title])


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model: who it is, and how it did.

    Attributes:
      method: `teacher`, `scratch`, or a key of `VARIANTS`.
      variant: Which settings of the method.
      seed: Of its weights and batches.
      validation_accuracy: Of its best epoch.
      correct: Whether it is right, by the id of each test image.
    """

    method: str
    variant: int
    seed: int
    validation_accuracy: float
    correct: dict[str, bool]


def train_all(
    experiment: Experiment, *, methods: Sequence[str], overrides: Sequence[str], work: pathlib.Path
) -> Iterator[Run]:
    """Trains every model of an experiment that is not in `work` yet; yields them all."""
    config = load_config(ROOT / "configs" / experiment.config, overrides=[*experiment.overrides, *overrides])
    load = functools.cache(lambda: load_splits(config))
    for seed, fold in experiment.fold_of_seed.items():
        bench = Bench(config, hint=experiment.hint, seed=seed, folder=work / f"seed-{seed}")
        for method, variant in [("teacher", 0), ("scratch", 0), *_variants(methods)]:
            if not bench.has(method, variant):
                bench.prepare(load(), fold=fold)
                start = time.monotonic()
                bench.train(method, variant)
                seconds = time.monotonic() - start
                print(f"{work.name} {seed} {method} {variant}: {seconds:.0f} s", flush=True)
            yield bench.read(method, variant)


def _variants(methods: Sequence[str]) -> Iterator[tuple[str, int]]:
    for method in methods:
        yield from ((method, variant) for variant in range(len(VARIANTS[method])))


class Bench:
    """Trains and tests the models of one seed on one division of the images.

    Args:
      config: The experiment.
      hint: See `Experiment`.
      seed: Of the weights and the batches.
      folder: Where everything goes.
    """

    def __init__(self, config: Config, *, hint: tuple[str, str], seed: int, folder: pathlib.Path) -> None:
        self._config = config
        self._hint = hint
        self._seed = seed
        self._folder = folder
        self._examples: dict[str, Examples] = {}
        self._files: dict[str, list[str]] = {}

    def has(self, method: str, variant: int) -> bool:
        """Tells whether a model has been trained and tested."""
        return self._result(method, variant).exists()

    def read(self, method: str, variant: int) -> Run:
        """Reads how a model did."""
        return Run(method, variant, self._seed, **read_json(self._result(method, variant)))

    def prepare(self, splits: Mapping[str, Examples], *, fold: int | None) -> None:
        """Writes the examples of this division, unless that was done."""
        if not self._files:
            self._examples = dict(splits) if fold is None else divide(splits, fold=fold)
            target = self._folder / "examples" / str(time.time_ns())
            self._files = {
                split: write_examples(examples, target / split) for split, examples in self._examples.items()
            }

    def train(self, method: str, variant: int) -> None:
        """Trains a model, tests it and writes how it did."""
        config = self._config
        settings = config.teacher if method == "teacher" else config.student
        model, history = self._fit(settings, method=method, variant=variant)
        if method == "teacher":
            model.save(self._teacher_file)
        correct = self._test(model)
        accuracy = max(epoch["val_accuracy"] for epoch in history["epochs"])
        write_json(self._result(method, variant), {"validation_accuracy": accuracy, "correct": correct})

    def _fit(
        self, settings: ModelSettings, *, method: str, variant: int
    ) -> tuple[keras.Model, dict[str, Any]]:
        objective: keras.losses.Loss = Supervised()
        prediction_files: list[str] = []
        teacher = None
        if method in VARIANTS:
            distillation = make_settings(method, variant, hint=self._hint)
            objective = Distillation(distillation)
            if distillation.asks_teacher:
                teacher = OnlineTeacher(keras_file=str(self._teacher_file), layers=distillation.layers)
            else:
                prediction_files = self._predictions()
        run_dir = self._folder / f"{method} {variant}"
        classes = int(max(examples.labels.max() for examples in self._examples.values())) + 1
        model = train_model(
            TrainingJob(
                name=method,
                model=settings,
                image=self._config.image,
                hardware=self._config.hardware,
                seed=self._seed,
            ),
            TrainingData(
                training_files=self._files["train"],
                num_training_examples=len(self._examples["train"]),
                validation_files=self._files["validation"],
                num_validation_examples=len(self._examples["validation"]),
                class_names=[str(label) for label in range(classes)],
                prediction_files=prediction_files,
            ),
            objective=objective,
            run_dir=str(run_dir),
            teacher=teacher,
        )
        return model, read_json(run_dir / "history.json")

    def _predictions(self) -> list[str]:
        """Returns the teacher's predictions for the training split, which it makes if need be."""
        directory = self._folder / "predictions" / pathlib.Path(self._files["train"][0]).parent.parent.name
        fingerprint = fingerprint_teacher(str(self._teacher_file))
        if not directory.exists():
            directory.mkdir(parents=True)
            write_predictions(
                keras.saving.load_model(self._teacher_file, compile=False),
                teacher_fingerprint=fingerprint,
                example_files=self._files["train"],
                image_shape=self._config.image.shape,
                batch_size=_BATCH_SIZE,
                directory=str(directory),
            )
        return open_predictions(
            str(directory),
            teacher_fingerprint=fingerprint,
            num_examples=len(self._examples["train"]),
            example_files=self._files["train"],
        )

    def _test(self, model: keras.Model) -> dict[str, bool]:
        predict = tf.function(lambda images: tf.argmax(model(images, training=False), axis=-1))
        correct = {}
        batches = ordered_batches(
            self._files["test"], image_shape=self._config.image.shape, batch_size=_BATCH_SIZE
        )
        for images, targets in batches:
            right = predict(images) == targets["label"]
            correct |= {
                name.decode(): bool(each)
                for name, each in zip(targets["id"].numpy(), right.numpy(), strict=True)
            }
        return correct

    @property
    def _teacher_file(self) -> pathlib.Path:
        return self._folder / "teacher.keras"

    def _result(self, method: str, variant: int) -> pathlib.Path:
        return self._folder / f"{method} {variant}.json"


def make_settings(method: str, variant: int, *, hint: tuple[str, str]) -> Method:
    """Returns the settings of a variant of a method, as a configuration would have them."""
    name = method.partition(",")[0]
    values = {"name": "student", "method": name, **VARIANTS[method][variant]}
    if METHODS[name].asks_teacher:
        values |= {"teacher_layer": hint[0], "student_layer": hint[1]}
    return TypeAdapter(DistillationSettings).validate_python(values)


def divide(splits: Mapping[str, Examples], *, fold: int) -> dict[str, Examples]:
    """Splits all images again: one fold tests, half of the next one validates, the rest trains."""
    everything = concatenate(splits.values())
    order = np.argsort([splitting.position(name) for name in everything.ids])
    folds = np.array_split(order, FOLDS)
    test = folds[fold]
    validation, first = np.array_split(folds[(fold + 1) % FOLDS], 2)
    rest = [folds[(fold + 2 + number) % FOLDS] for number in range(FOLDS - 2)]
    indices = {"train": np.concatenate([first, *rest]), "validation": validation, "test": test}
    return {split: everything.take(each) for split, each in indices.items()}


def summarise(runs: list[Run]) -> dict[str, Any]:
    """Turns the runs of an experiment into the rows of its table."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.method, run.variant), []).append(run)
    best = {
        method: max(
            (key for key in groups if key[0] == method),
            key=lambda key: np.mean([run.validation_accuracy for run in groups[key]]),
        )
        for method in dict.fromkeys(method for method, _ in groups)
    }
    means = {method: _mean_correct(groups[key]) for method, key in best.items()}
    return {
        "test_images": len(means["teacher"]),
        "seeds": len({run.seed for run in runs}),
        "models": [
            {
                "method": method,
                "settings": VARIANTS[method][key[1]] if method in VARIANTS else {},
                **_accuracy(groups[key]),
                **_against(means, method),
            }
            for method, key in best.items()
        ],
        "variants": [
            {
                "method": method,
                "settings": VARIANTS[method][variant],
                "validation_accuracy": float(np.mean([run.validation_accuracy for run in group])),
                **_accuracy(group),
            }
            for (method, variant), group in groups.items()
            if method in VARIANTS
        ],
    }


def _accuracy(runs: list[Run]) -> dict[str, Any]:
    """Returns the accuracy of each seed, their mean, and half the t-interval's width."""
    by_seed: dict[int, list[bool]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).extend(run.correct.values())
    accuracies = [float(np.mean(correct)) for correct in by_seed.values()]
    error = float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)))
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(accuracies) - 1)) * error
    return {"accuracies": accuracies, "accuracy": float(np.mean(accuracies)), "half_width": width}


def _mean_correct(runs: list[Run]) -> np.ndarray:
    """Returns how often each test image was classified correctly, `[images]`, in the order of the ids."""
    outcomes: dict[str, list[bool]] = {}
    for run in runs:
        for name, correct in run.correct.items():
            outcomes.setdefault(name, []).append(correct)
    return np.array([np.mean(outcomes[name]) for name in sorted(outcomes)])


def _against(means: Mapping[str, np.ndarray], method: str) -> dict[str, Any]:
    """Compares a student with scratch on the test images, each averaged over the seeds."""
    if method in ("teacher", "scratch"):
        return {}
    lead = compare_means(means[method], baseline=means["scratch"], confidence=CONFIDENCE)
    gap = gap_closed(means[method], scratch=means["scratch"], teacher=means["teacher"], confidence=CONFIDENCE)
    return {
        "lead": {"estimate": lead.estimate, "low": lead.low, "high": lead.high},
        "gap_closed": dataclasses.asdict(gap),
    }


def print_table(name: str, results: Mapping[str, Any]) -> None:
    """Prints one experiment as a Markdown table."""
    print(f"\n{name}: {results['test_images']} test images, {results['seeds']} seeds\n")
    print("| model | settings | accuracy | against scratch, points | gap closed |")
    print("|---|---|---|---|---|")
    for row in results["models"]:
        settings = ", ".join(f"{key} {value}" for key, value in row["settings"].items())
        accuracy = f"{row['accuracy']:.2%} ± {100 * row['half_width']:.2f}"
        lead, gap = row.get("lead"), row.get("gap_closed")
        against = _describe_lead(lead) if lead else ""
        closed = _describe_gap(gap) if gap else ""
        print(f"| {row['method']} | {settings} | {accuracy} | {against} | {closed} |", flush=True)


def _describe_lead(lead: Mapping[str, float]) -> str:
    estimate, low, high = (f"{100 * lead[key]:+.2f}" for key in ("estimate", "low", "high"))
    return f"{estimate} [{low}, {high}]"


def _describe_gap(gap: Mapping[str, Any]) -> str:
    if gap["estimate"] is None:
        return gap["reason"]
    return f"{gap['estimate']:.0%} [{gap['low']:.0%}, {gap['high']:.0%}]"


if __name__ == "__main__":
    main()
