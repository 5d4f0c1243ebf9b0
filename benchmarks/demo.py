"""Whether the demo's student wins: the experiment of `configs/digits.yaml`, over several seeds.

    .venv/bin/python -m benchmarks.demo --work DIR

The first seed is that of the configuration, the others follow it. All models are tested on the test split,
which chose nothing. An epoch of the distilled student has more steps, on images without labels: scratch is
also trained for as many. The first interval is that of the mean over the seeds, on these very images; the
second is over the images, for each of which the seeds are averaged.

Prints the table and writes it to `benchmarks/results/demo.json`. What has been trained lies in `--work` and
is not trained again.
"""

import argparse
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from benchmarks.examples import load_splits, write_examples
from components.distiller.objective import Distillation
from components.evaluator.judge.statistics import compare_means
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import read_json, write_json
from components.layout import UNLABELLED
from components.settings.models import TrainedModel
from components.settings.training import TrainingJob
from components.teacher_predictions.store import fingerprint_teacher, open_predictions, write_predictions
from components.training.inputs.batches import ordered_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/demo.json"
CONFIDENCE = 0.95

TEACHER, SCRATCH, DISTILLED = "teacher", "scratch", "distilled"
LONGER = "scratch, as many steps"
MODELS = (TEACHER, SCRATCH, LONGER, DISTILLED)

_BATCH_SIZE = 128


def main() -> None:
    """Trains what is missing, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="How many.")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="Where what is trained is kept.")
    arguments = parser.parse_args()
    config = load_config(ROOT / "configs/digits.yaml")
    data = Data.write(config, arguments.work)
    seeds = range(config.seed, config.seed + arguments.seeds)
    results = summarise([train_all(config, data, seed=seed, work=arguments.work) for seed in seeds])
    counts = {split: len(ids) for split, ids in data.ids.items()}
    about = {"images": counts, "machine": describe_machine(), "versions": describe_versions()}
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, {"seeds": list(seeds), "models": results, **about})
    print_table(results, counts=counts)


@dataclasses.dataclass(frozen=True)
class Data:
    """The images of each split: their ids, and the files of transformed examples."""

    ids: Mapping[str, list[str]]
    files: Mapping[str, list[str]]

    @classmethod
    def write(cls, config: Config, work: pathlib.Path) -> "Data":
        """Writes the examples of a configuration, unless that was done."""
        splits = load_splits(config)
        directories = {split: work / "examples" / split for split in splits}
        for split, directory in directories.items():
            if not directory.exists():
                write_examples(splits[split], directory)
        return cls(
            ids={split: list(examples.ids) for split, examples in splits.items()},
            files={split: sorted(map(str, each.iterdir())) for split, each in directories.items()},
        )


def train_all(config: Config, data: Data, *, seed: int, work: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Trains and tests the models of a seed that are not in `work` yet.

    Returns:
      Of each model the validation accuracy of its best epoch, and whether it is right on each test image.
    """
    results = {}
    for name in MODELS:
        folder = work / f"seed-{seed}" / name
        if not (folder / "result.json").exists():
            model = _train(name, config, data, seed=seed, folder=folder)
            epochs = read_json(folder / "history.json")["epochs"]
            result = {
                "validation_accuracy": max(epoch["val_accuracy"] for epoch in epochs),
                "correct": _test(model, config, data).tolist(),
            }
            write_json(folder / "result.json", result)
            print(f"seed {seed}: {name}: {np.mean(result['correct']):.2%}", flush=True)
        results[name] = read_json(folder / "result.json")
    return results


def _train(name: str, config: Config, data: Data, *, seed: int, folder: pathlib.Path) -> keras.Model:
    teacher_file = folder.parent / TEACHER / "teacher.keras"
    examples = TrainingData(
        training_files=data.files["train"],
        num_training_examples=len(data.ids["train"]),
        validation_files=data.files["validation"],
        num_validation_examples=len(data.ids["validation"]),
        class_names=[str(digit) for digit in range(10)],
    )
    if name == DISTILLED:
        examples = dataclasses.replace(
            examples,
            prediction_files=_predictions(config, data, "train", teacher_file=teacher_file),
            unlabelled_files=data.files[UNLABELLED],
            num_unlabelled_examples=len(data.ids[UNLABELLED]),
            unlabelled_prediction_files=_predictions(config, data, UNLABELLED, teacher_file=teacher_file),
        )
    model = train_model(
        TrainingJob(
            name=name,
            model=_settings(name, config, data),
            image=config.image,
            hardware=config.hardware,
            seed=seed,
        ),
        examples,
        objective=Distillation(config.distillations[0].base) if name == DISTILLED else Supervised(),
        run_dir=str(folder),
    )
    if name == TEACHER:
        model.save(teacher_file)
    return model


def _settings(name: str, config: Config, data: Data) -> TrainedModel:
    if name == TEACHER:
        return config.teachers["Teacher"]
    if name == LONGER:
        labelled, unlabelled = len(data.ids["train"]), len(data.ids[UNLABELLED])
        epochs = round(config.student.epochs * (labelled + unlabelled) / labelled)
        return config.student.model_copy(update={"epochs": epochs})
    return config.student


def _predictions(config: Config, data: Data, split: str, *, teacher_file: pathlib.Path) -> list[str]:
    """Returns the teacher's predictions for a split, which it makes if need be."""
    directory = teacher_file.parent / f"predictions-{split}"
    fingerprint = fingerprint_teacher(str(teacher_file))
    if not directory.exists():
        directory.mkdir()
        write_predictions(
            keras.saving.load_model(teacher_file, compile=False),
            teacher_fingerprint=fingerprint,
            example_files=data.files[split],
            image_shape=config.image.shape,
            batch_size=_BATCH_SIZE,
            directory=str(directory),
        )
    return open_predictions(
        str(directory),
        teacher_fingerprint=fingerprint,
        num_examples=len(data.ids[split]),
        example_files=data.files[split],
    )


def _test(model: keras.Model, config: Config, data: Data) -> np.ndarray:
    """Returns whether a model is right on each test image, booleans `[images]`."""
    predict = tf.function(lambda images: tf.argmax(model(images, training=False), axis=-1))
    batches = ordered_batches(data.files["test"], image_shape=config.image.shape, batch_size=_BATCH_SIZE)
    right = [predict(images) == targets["label"] for images, targets in batches]
    return np.concatenate([each.numpy() for each in right])


def summarise(runs: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Turns the results of each seed into the rows of the table.

    Args:
      runs: What `train_all` returned for each seed.

    Returns:
      Of each model its accuracies, by seed, and their mean; and its lead over scratch, with the interval over
      the seeds and that over the images.
    """
    correct = {name: np.array([run[name]["correct"] for run in runs]) for name in MODELS}
    rows: dict[str, dict[str, Any]] = {}
    for name, right in correct.items():
        accuracies = right.mean(axis=1)
        validation = [run[name]["validation_accuracy"] for run in runs]
        rows[name] = {
            "validation_accuracy": float(np.mean(validation)),
            "accuracies": accuracies.tolist(),
            "accuracy": float(accuracies.mean()),
        }
        if name in (DISTILLED, LONGER):
            leads = accuracies - correct[SCRATCH].mean(axis=1)
            over_images = compare_means(
                right.mean(axis=0), baseline=correct[SCRATCH].mean(axis=0), confidence=CONFIDENCE
            )
            rows[name]["lead"] = {
                "estimate": float(leads.mean()),
                "over_seeds": _interval(leads),
                "over_images": [over_images.low, over_images.high],
            }
    return rows


def _interval(values: np.ndarray) -> list[float]:
    """Returns the t-interval of a mean, `[low, high]`."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    width = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error
    return [float(values.mean() - width), float(values.mean() + width)]


def print_table(results: Mapping[str, dict[str, Any]], *, counts: Mapping[str, int]) -> None:
    """Prints the results as a Markdown table."""
    print(f"\nImages: {', '.join(f'{count:,} {split}' for split, count in counts.items())}\n")
    print("| model | accuracy | first seed | against scratch, points | over the images |")
    print("|---|---|---|---|---|")
    for name, row in results.items():
        lead = row.get("lead")
        over_seeds = f"{100 * lead['estimate']:+.2f} {_points(lead['over_seeds'])}" if lead else ""
        over_images = _points(lead["over_images"]) if lead else ""
        print(
            f"| {name} | {row['accuracy']:.2%} | {row['accuracies'][0]:.2%} | {over_seeds} | {over_images} |"
        )


def _points(interval: Iterable[float]) -> str:
    low, high = (f"{100 * end:+.2f}" for end in interval)
    return f"[{low}, {high}]"


if __name__ == "__main__":
    main()
