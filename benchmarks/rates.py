"""Which learning rates `kd` bears at which temperature, with SGD.

    .venv/bin/python -m benchmarks.rates --data-dir DIR --work DIR [--seeds 3]

`--data-dir` holds MNIST in TFDS's format, of which 5,000 images are trained on and 1,000 validated on. The
teacher of a seed is that of configs/mnist.yaml after 5 epochs by Adam; its student is trained for 2 epochs by
SGD, at each temperature with each of `RECIPES`. Prints for each the validation accuracy, and the share of the
units of the last hidden layer that are 0 for every validation image, and writes both to
`benchmarks/results/rates.json`.
"""

import argparse
import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from benchmarks.bench import Bench, Images, Trained
from benchmarks.examples import load_splits
from components.distiller.methods.kd import Kd
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import write_json
from components.training.inputs.batches import ordered_batches
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/rates.json"
TEMPERATURES = (1.0, 2.0, 4.0)
SGD = ("student.optimizer=sgd", "student.epochs=2")
RECIPES: Mapping[str, tuple[str, ...]] = {
    "0.1": ("student.learning_rate=0.1",),
    "0.05": ("student.learning_rate=0.05",),
    "0.025": ("student.learning_rate=0.025",),
    "0.1, no momentum": (
        "student.learning_rate=0.1",
        "student.optimizer={name: sgd, momentum: 0, nesterov: false}",
    ),
    "0.1, warm-up of an epoch": (
        "student.learning_rate=0.1",
        "student.schedule={name: constant, warmup_epochs: 1}",
    ),
    "0.1, clip_norm 1": ("student.learning_rate=0.1", "student.clip_norm=1.0"),
}


def main() -> None:
    """Trains all students of all seeds, prints what they reach and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="where what is trained goes")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    configs = {name: _load(arguments.data_dir, recipe) for name, recipe in RECIPES.items()}
    config = next(iter(configs.values()))
    images = Images.write(load_splits(config), arguments.work / "images")
    rounds: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        folder = arguments.work / str(seed)
        teacher = Bench(config, images, seed=seed, folder=folder).train_teacher()
        rounds.append({"model": "teacher", "seed": seed, "accuracy": teacher.validation_accuracy})
        print(rounds[-1], flush=True)
        for (name, each), temperature in itertools.product(configs.items(), TEMPERATURES):
            method = Kd(name="student", method="kd", temperature=temperature, student_loss_weight=0.1)
            student = Bench(each, images, seed=seed, folder=folder).distil("student", method)
            rounds.append(
                {"model": "student", "seed": seed, "recipe": name, "temperature": temperature}
                | {"accuracy": student.validation_accuracy, "off": _share_off(student, images, each)}
            )
            print(rounds[-1], flush=True)
    write_json(RESULTS, {"rounds": rounds, "machine": describe_machine(), "versions": describe_versions()})


def _load(data_dir: str, recipe: tuple[str, ...]) -> Config:
    data = (
        f"data.data_dir={data_dir}",
        "data.splits={train: 'train[:5000]', validation: 'train[-1000:]', test: 'test[:100]'}",
    )
    return load_config(
        ROOT / "configs/mnist.yaml",
        overrides=[*data, "teacher.epochs=5", "hardware.precision=float32", *SGD, *recipe],
    )


def _share_off(student: Trained, images: Images, config: Config) -> float:
    """Returns the share of the units of the last hidden layer that are 0 for every validation image."""
    hidden = keras.Model(student.model.inputs, student.model.layers[-2].output)
    batches = ordered_batches(images.files["validation"], image_shape=config.image.shape, batch_size=500)
    outputs = np.concatenate([np.asarray(hidden(pixels)) for pixels, _ in batches])
    return float((outputs == 0).all(axis=0).mean())


if __name__ == "__main__":
    main()
