"""Whether distillation works: teacher, scratch and every method, over several seeds.

    .venv/bin/python -m benchmarks.quality digits mnist cats_vs_dogs --data-dir DIR --work DIR

`--data-dir` holds MNIST, cats_vs_dogs and CIFAR-10 in TFDS's format. Models, image size, epochs, batches and
precision are those of `configs/`, but for what `EXPERIMENTS` changes, for all models of an experiment alike:
the digits, for example, have all their labels unless their name says otherwise. The students of a seed start
from the same weights and see the same batches in the same order. Of each method, the settings of `VARIANTS`
with the best mean validation accuracy are reported, on test images that chose nothing. Where one test split
is too small for a verdict, the images are divided into five folds; each seed is tested on another one.

Prints a table a data set and writes it to `benchmarks/results/quality.json`, under a title of its own if
`--methods` leaves some out. What has been trained lies in `--work` and is not trained again.
"""

import argparse
import dataclasses
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.bench import Bench, Images, Trained
from benchmarks.examples import Examples, concatenate, load_splits
from benchmarks.outcomes import Run, print_table, summarise
from components.distiller.methods.base import Method
from components.distiller.registry import METHODS, DistillationSettings
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.example_gen import splitting
from components.files import read_json, write_json
from components.training.hardware.precision import resolve_precision
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/quality.json"
FOLDS = 5

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "kd, temperature 1": ({"temperature": 1.0},),
    "kd, temperature 2": ({"temperature": 2.0},),
    "kd, temperature 4": ({"temperature": 4.0},),
    "kd, temperature searched": ({"temperature": 1.0}, {"temperature": 2.0}, {"temperature": 4.0}),
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

    def changed(self, overrides: tuple[str, ...]) -> "Experiment":
        """Returns one that differs by further overrides, for all its models alike."""
        return dataclasses.replace(self, overrides=(*self.overrides, *overrides))


ALL_LABELS = (
    "data.labelled_fraction=1",
    "teacher.batch_size=32",
    "student={architecture: digits_student, epochs: 60, batch_size: 32, learning_rate: 0.003}",
)
FAST = ("student.learning_rate=0.01",)
RECIPE = tuple(
    f"{model}.{setting}"
    for model in ("teacher", "student")
    for setting in ("optimizer=sgd", "learning_rate=0.1", "schedule=cosine", "ema_decay=0.99")
)
AUGMENT = ("augment={shift: 0.1}",)
VIEWS = (*AUGMENT, "teacher_predictions={views: 8}")
ONLINE = (*AUGMENT, "teacher_predictions=online")

# Of the photographs of cats and dogs, a test split that is large enough without folds.
TEST_ON_A_FIFTH = "data.splits={train: 'train[:70%]', validation: 'train[70%:80%]', test: 'train[80%:]'}"
FEW_LABELS = (
    "data.labelled_fraction=0.1",
    TEST_ON_A_FIFTH,
    "teacher.epochs=40",
    "student.epochs=30",
)

# Few photographs of ten kinds of things, which no file of `configs/` is for, trained on as a user would.
CIFAR10_SMALL = (
    "name=cifar10_small",
    "data.dataset=cifar10",
    "data.splits={train: 'train[:2000]', validation: 'train[2000:4000]', test: test}",
    "image={height: 32, width: 32, channels: 3}",
    "teacher={architecture: airbench, epochs: 12, batch_size: 64, learning_rate: 0.15, optimizer: sgd, "
    "schedule: one_cycle}",
    "student={architecture: resnet20, epochs: 15, batch_size: 64, learning_rate: 0.1, "
    "optimizer: {name: sgd, weight_decay: 0.005}, schedule: one_cycle}",
)

_DIGITS = Experiment(
    "digits.yaml", {seed: seed for seed in range(FOLDS)}, hint=("dense", "dense"), overrides=ALL_LABELS
)
_MNIST = Experiment(
    "mnist.yaml",
    dict.fromkeys(range(3), None),
    hint=("average_pooling2d_1", "average_pooling2d_1"),
)

_CATS_VS_DOGS = Experiment(
    "cats_vs_dogs_small.yaml",
    {seed: seed for seed in range(3)},
    hint=("max_pooling2d", "max_pooling2d"),
)

EXPERIMENTS = {
    "digits": _DIGITS,
    "digits_fast": _DIGITS.changed(FAST),
    "digits_recipe": _DIGITS.changed(RECIPE),
    "digits_views": _DIGITS.changed(VIEWS),
    "digits_online": _DIGITS.changed(ONLINE),
    "digits_few_labels": dataclasses.replace(
        _DIGITS, fold_of_seed=dict.fromkeys(range(FOLDS), None), overrides=()
    ),
    "mnist": _MNIST,
    "mnist_views": _MNIST.changed(VIEWS),
    "cats_vs_dogs": _CATS_VS_DOGS,
    "cats_vs_dogs_few_labels": dataclasses.replace(
        _CATS_VS_DOGS, fold_of_seed=dict.fromkeys(range(3), None), overrides=FEW_LABELS
    ),
    "cifar10_small": Experiment(
        "cats_vs_dogs_small.yaml",
        dict.fromkeys(range(3), None),
        hint=("max_pooling2d_1", "re_lu_18"),
        overrides=CIFAR10_SMALL,
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
    parser.add_argument("--seeds", type=int, help="Only so many of those of an experiment.")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="Where what is trained is kept.")
    arguments = parser.parse_args()
    results = read_json(RESULTS) if RESULTS.exists() else {}
    for name in arguments.experiments:
        experiment = EXPERIMENTS[name]
        config = load_config(
            ROOT / "configs" / experiment.config,
            overrides=[*experiment.overrides, *_overrides(arguments, name)],
        )
        work = f"{name} in {arguments.precision}" if arguments.precision else name
        title = work if arguments.methods == list(VARIANTS) else f"{work}: {'; '.join(arguments.methods)}"
        runs = train_all(
            experiment,
            config,
            methods=arguments.methods,
            seeds=arguments.seeds,
            work=arguments.work / work,
        )
        results[title] = {
            **summarise(runs),
            "precision": resolve_precision(config.hardware.precision),
            "machine": describe_machine(),
            "versions": describe_versions(),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        write_json(RESULTS, results)
        print_table(title, results[title])


def _overrides(arguments: argparse.Namespace, name: str) -> list[str]:
    overrides = []
    if arguments.precision:
        overrides.append(f"hardware.precision={arguments.precision}")
    if arguments.data_dir and EXPERIMENTS[name].config != "digits.yaml":
        overrides.append(f"data.data_dir={arguments.data_dir}")
    return overrides


def train_all(
    experiment: Experiment,
    config: Config,
    *,
    methods: Sequence[str],
    seeds: int | None,
    work: pathlib.Path,
) -> Iterator[Run]:
    """Trains every model of an experiment that is not in `work` yet; yields them all.

    Args:
      experiment: Which seeds and folds there are.
      config: How the models are trained.
      methods: The methods to compare with scratch.
      seeds: How many of the seeds; None for all.
      work: Where what is trained is kept.
    """
    load = functools.cache(lambda: load_splits(config))
    for seed, fold in itertools.islice(experiment.fold_of_seed.items(), seeds):
        folder = work / f"seed-{seed}"
        open_bench = functools.cache(
            functools.partial(_open_bench, config, load, fold=fold, seed=seed, folder=folder)
        )
        for method, variant in [("teacher", 0), ("scratch", 0), *_variants(methods, config)]:
            result = folder / f"{method} {variant}.json"
            if not result.exists():
                bench = open_bench()
                start = time.monotonic()
                trained = _train(bench, config, method=method, variant=variant, hint=experiment.hint)
                write_json(
                    result,
                    {"validation_accuracy": trained.validation_accuracy, "correct": bench.test(trained)},
                )
                seconds = time.monotonic() - start
                print(f"{work.name} {seed} {method} {variant}: {seconds:.0f} s", flush=True)
            settings = VARIANTS[method][variant] if method in VARIANTS else {}
            yield Run(method=method, settings=settings, seed=seed, **read_json(result))


def _variants(methods: Sequence[str], config: Config) -> Iterator[tuple[str, int]]:
    for method in methods:
        if not (config.data.has_unlabelled and METHODS[_name(method)].needs_labels):
            yield from ((method, variant) for variant in range(len(VARIANTS[method])))


def _name(method: str) -> str:
    """Returns the name by which a configuration knows a key of `VARIANTS`."""
    return method.partition(",")[0]


def _open_bench(
    config: Config,
    load: Callable[[], Mapping[str, Examples]],
    *,
    fold: int | None,
    seed: int,
    folder: pathlib.Path,
) -> Bench:
    splits = load() if fold is None else divide(load(), fold=fold)
    return Bench(config, Images.write(splits, folder / "examples"), seed=seed, folder=folder)


def _train(bench: Bench, config: Config, *, method: str, variant: int, hint: tuple[str, str]) -> Trained:
    if method == "teacher":
        return bench.train_teacher()
    name = f"{method} {variant}"
    if method == "scratch":
        return bench.train(name, config.student)
    return bench.distil(name, make_settings(method, variant, hint=hint))


def make_settings(method: str, variant: int, *, hint: tuple[str, str]) -> Method:
    """Returns the settings of a variant of a method, as a configuration would have them."""
    name = _name(method)
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


if __name__ == "__main__":
    main()
