"""Whether a training node's memory grows with the data set.

    .venv/bin/python -m benchmarks.memory --data-dir DIR

`--data-dir` holds cats_vs_dogs in TFDS's format. Distils lab 1's student for an epoch at 224x224 from stored
predictions, on all photographs and on a tenth of them, each in a process of its own, and compares the peaks
of resident memory.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from benchmarks.examples import Examples, concatenate, load_splits, write_examples
from benchmarks.peak import peak_kib
from benchmarks.predictions import store_predictions
from benchmarks.table import Row, ratios, report
from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.settings.training import TrainingJob
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

CONFIG = pathlib.Path(__file__).parent.parent / "configs/cats_vs_dogs.yaml"


def main() -> None:
    """Measures, prints a table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="Where TFDS's data is prepared already.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(train(arguments.child))
        return
    config = load_config(CONFIG, overrides=[f"data.data_dir={arguments.data_dir}"])
    with tempfile.TemporaryDirectory() as folder:
        everything = concatenate(load_splits(config).values())
        tenth, whole = pathlib.Path(folder, "tenth"), pathlib.Path(folder, "whole")
        prepare(everything.take(slice(len(everything) // 10)), config, tenth)
        prepare(everything, config, whole)
        peaks: dict[str, list[float]] = {"tenth": [], "whole": []}
        for _ in range(arguments.rounds):
            for path in (tenth, whole):
                command = [sys.executable, "-m", "benchmarks.memory", "--child", str(path)]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                peaks[path.name].append(float(output))
    row = Row(
        name="peak memory of a training node at 10 times the examples / at 1 time",
        ratios=ratios(peaks["whole"], peaks["tenth"]),
        bound=1.1,
    )
    command_line = shlex.join(["python", "-m", "benchmarks.memory", *sys.argv[1:]])
    report("memory", [row], measured={"peak MiB": peaks}, command=command_line)


def prepare(examples: Examples, config: Config, folder: pathlib.Path) -> None:
    """Writes examples and the predictions of an untrained student for them."""
    files = write_examples(examples, folder / "examples")
    write_examples(examples.take(slice(32)), folder / "validation")
    model = keras.Sequential(
        [keras.Input(config.image.shape), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    model.save(folder / "teacher.keras")
    store_predictions(
        folder / "teacher.keras",
        {"train": files},
        image_shape=config.image.shape,
        directory=folder / "predictions",
    )
    (folder / "examples.txt").write_text(str(len(examples)), encoding="utf-8")


def train(folder: pathlib.Path) -> float:
    """Distils for an epoch; returns the peak of this process's resident memory in MiB."""
    config = load_config(CONFIG)
    data = TrainingData(
        training_files=_files(folder / "examples"),
        num_training_examples=int((folder / "examples.txt").read_text(encoding="utf-8")),
        validation_files=_files(folder / "validation"),
        num_validation_examples=32,
        class_names=["cat", "dog"],
        prediction_files=_files(folder / "predictions/Split-train"),
    )
    job = TrainingJob(
        name="student",
        model=config.student.model_copy(update={"epochs": 1}),
        image=config.image,
        hardware=config.hardware,
        seed=0,
    )
    objective = Distillation(Kd(name="student", method="kd"))
    train_model(job, data, objective=objective, run_dir=str(folder / "run"))
    return peak_kib() / 1024


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(path for path in tf.io.gfile.glob(f"{folder}/*") if not path.endswith(".json"))


if __name__ == "__main__":
    main()
