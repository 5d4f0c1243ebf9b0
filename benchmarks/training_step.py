"""What a training step of MNIST's models takes: with which Adam, and on how many threads an operation.

    .venv/bin/python -m benchmarks.training_step [--rounds N]

Compares `FusedAdam` with `keras.optimizers.Adam`, and one thread an operation with TensorFlow's choice, in
float32 and in bfloat16. Models, batches and image size are those of `configs/mnist.yaml`, the images are
synthetic. All take turns in each round; the number of threads holds for a process, so there is one for each
choice, which waits while the other is at work. Some two minutes on two
idle cores that compute in bfloat16; on others that part takes several times as long.
"""

import argparse
import dataclasses
import functools
import itertools
import multiprocessing
import pathlib
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median

import keras
import numpy as np
import tensorflow as tf

from benchmarks.table import ratios
from components.models import registry
from components.models.building import build_model
from components.training.learner import Learner, Supervised
from components.training.loop import choose_steps_per_execution
from components.training.optimizer import FusedAdam
from pipeline.config.loading import load_config

CONFIG = pathlib.Path(__file__).parent.parent / "configs" / "mnist.yaml"
CLASSES = 10
# How many executions of several steps are timed at once: the student's steps are short.
MODELS = {"teacher": 1, "student": 8}
PRECISIONS = ("float32", "mixed_bfloat16")
OPTIMIZERS = {"Adam": keras.optimizers.Adam, "FusedAdam": FusedAdam}
THREADS = {"TensorFlow's choice": 0, "one thread": 1}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model of the configuration, its dtype policy and its optimizer."""

    model: str
    precision: str
    optimizer: str


CASES = [Case(*each) for each in itertools.product(MODELS, PRECISIONS, OPTIMIZERS)]
# Milliseconds a step in each round, by the choice of threads and the case.
Times = dict[tuple[str, Case], list[float]]


def main() -> None:
    """Measures and prints two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    times = measure(rounds=parser.parse_args().rounds)
    print_table(
        ("model", "precision", "threads an operation", *OPTIMIZERS),
        [
            (
                model,
                precision,
                threads,
                *(times[threads, Case(model, precision, each)] for each in OPTIMIZERS),
            )
            for model, precision, threads in itertools.product(MODELS, PRECISIONS, THREADS)
        ],
    )
    print_table(
        ("model", "precision", "optimizer", *THREADS),
        [
            (case.model, case.precision, case.optimizer, *(times[threads, case] for threads in THREADS))
            for case in CASES
        ],
    )


def measure(*, rounds: int) -> Times:
    """Lets all take turns in so many rounds, after one that does not count."""
    context = multiprocessing.get_context("spawn")
    times: Times = {each: [] for each in itertools.product(THREADS, CASES)}
    pools = {
        name: ProcessPoolExecutor(1, context, initializer=_set_threads, initargs=(number,))
        for name, number in THREADS.items()
    }
    try:
        for number, case in itertools.product(range(rounds + 1), CASES):
            for threads, pool in pools.items():
                milliseconds = pool.submit(_time_steps, case).result()
                if number:
                    times[threads, case].append(milliseconds)
    finally:
        for pool in pools.values():
            pool.shutdown()
    return times


def print_table(
    heading: Sequence[str], rows: Iterable[tuple[str, str, str, list[float], list[float]]]
) -> None:
    """Prints the milliseconds of two contenders, medians and ranges, and how the second compares."""
    *names, first, second = heading
    titles = [*names, f"{first}, ms a step", f"{second}, ms a step", f"{second} / {first}"]
    print(f"\n| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for *labels, before, after in rows:
        numbers = [_describe(each) for each in (before, after, ratios(after, before))]
        print(f"| {' | '.join([*labels, *numbers])} |")


def _describe(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _set_threads(number: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(number)


def _time_steps(case: Case) -> float:
    """Returns the milliseconds that a step takes, on average over an epoch."""
    learner, batches = _prepare(case)
    start = time.perf_counter()
    learner.fit(batches, epochs=1, shuffle=False, verbose=0)
    return 1000 * (time.perf_counter() - start) / len(batches)


@functools.cache
def _prepare(case: Case) -> tuple[Learner, tf.data.Dataset]:
    config = load_config(CONFIG)
    settings, shape = getattr(config, case.model), config.image.shape
    keras.utils.set_random_seed(0)
    model = build_model(
        registry.load(settings.architecture),
        name=settings.architecture,
        image_shape=shape,
        num_classes=CLASSES,
        precision=case.precision,
    )
    learner = Learner(model=model, objective=Supervised())
    steps = choose_steps_per_execution(image_shape=shape, batch_size=settings.batch_size)
    learner.compile(
        optimizer=OPTIMIZERS[case.optimizer](settings.learning_rate),
        steps_per_execution=steps,
        jit_compile=False,
    )
    random = np.random.default_rng(0)
    images = random.random((settings.batch_size, *shape), dtype=np.float32)
    targets = {"label": random.integers(0, CLASSES, settings.batch_size)}
    return learner, tf.data.Dataset.from_tensors((images, targets)).repeat(steps * MODELS[case.model])


if __name__ == "__main__":
    main()
