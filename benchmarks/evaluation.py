"""What the evaluation of several models costs, against its parts, on the MNIST test split.

    .venv/bin/python benchmarks/evaluation.py --data-dir DIR

`DIR` holds MNIST in TFDS's format. Evaluates 2, 4 and 8 models (lab 2's student, untrained: weights do not
matter here) with `components.evaluator.measure.analysis.analyse`, and measures by themselves: one pass that
reads and parses the split; the forward passes of one model; and the intervals and tests of the comparison.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable

import apache_beam as beam
import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions
from tfx_bsl.public import tfxio

from components.evaluator.judge.statistics import compare_accuracies, gap_closed
from components.evaluator.measure import analysis
from components.evaluator.measure.outcomes import Outcomes
from components.layout import OUTCOMES_DIRECTORY
from components.models.mnist import mnist_student
from components.serving.forms import open_servable
from components.serving.servable import Servable
from components.transform.pixels import unpack_images

IMAGE_SHAPE = (28, 28, 1)
COUNTS = (2, 4, 8)


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="Where MNIST lies in TFDS's format.")
    parser.add_argument("--repeats", type=int, default=3, help="The shortest of so many runs counts.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        examples, batches = write_examples(folder / "examples.tfrecord", data_dir=arguments.data_dir)
        models = write_models(folder / "models", count=max(COUNTS))
        measure(folder, examples=examples, batches=batches, models=models, repeats=arguments.repeats)


def measure(
    folder: pathlib.Path,
    *,
    examples: str,
    batches: list[list[bytes]],
    models: dict[str, Servable],
    repeats: int,
) -> None:
    """Measures, and prints a table.

    Args:
      folder: Where results go.
      examples: The file of examples.
      batches: The packed images of the same examples.
      models: The models by name.
      repeats: The shortest of so many runs counts.
    """
    read = shortest(lambda: read_only(examples), repeats=repeats)
    model = next(iter(models.values()))
    forward = shortest(lambda: [model.predict(batch) for batch in batches], repeats=repeats)
    print(f"one pass of reading {read:.2f} s; the forward passes of one model {forward:.2f} s\n")
    print("models  seconds  reading + n forward passes  ratio")
    for count in COUNTS:
        some = dict(list(models.items())[:count])
        seconds = shortest(
            lambda some=some: evaluate(folder, examples=examples, models=some), repeats=repeats
        )
        parts = read + count * forward
        print(f"{count:6}  {seconds:7.2f}  {parts:26.2f}  {seconds / parts:5.2f}")
    statistics = shortest(lambda: compare(folder, names=list(models)), repeats=repeats)
    print(f"\nintervals, tests and gap closed of all pairs with the first two: {statistics:.3f} s")


def write_examples(path: pathlib.Path, *, data_dir: str) -> tuple[str, list[list[bytes]]]:
    """Writes the MNIST test split as Transform does; returns its file and its packed images in batches."""
    images, labels = tfds.as_numpy(
        tfds.load("mnist", split="test", data_dir=data_dir, batch_size=-1, as_supervised=True, download=False)
    )
    packed = [image.tobytes() for image in images]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, (image, label) in enumerate(zip(packed, labels, strict=True)):
            feature = (example := tf.train.Example()).features.feature
            feature["image"].bytes_list.value.append(image)
            feature["id"].bytes_list.value.append(f"test/{index:05}".encode())
            feature["label"].int64_list.value.append(int(label))
            writer.write(example.SerializeToString())
    size = analysis.BATCH_SIZE
    return str(path), [packed[start : start + size] for start in range(0, len(packed), size)]


class Served(tf.Module):
    """A model with the signature that the evaluation calls."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._model = model

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def transformed(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts from packed pixels."""
        logits = self._model(unpack_images(image, image_shape=IMAGE_SHAPE), training=False)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def write_models(folder: pathlib.Path, *, count: int) -> dict[str, Servable]:
    """Writes untrained students, and opens them."""
    models: dict[str, Servable] = {}
    for index in range(count):
        keras.utils.set_random_seed(index)
        name = "teacher" if index == 0 else f"student-{index}"
        served = Served(mnist_student(IMAGE_SHAPE, 10))
        tf.saved_model.save(served, str(folder / name), signatures={"transformed": served.transformed})
        models[name] = open_servable(folder / name)
    return models


def run(build: Callable[[beam.Pipeline], object]) -> None:
    """Runs a Beam pipeline in memory."""
    options = PipelineOptions(["--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline)


def evaluate(folder: pathlib.Path, *, examples: str, models: dict[str, Servable]) -> None:
    """Evaluates models as the Evaluator node does."""
    run(
        lambda pipeline: analysis.analyse(
            pipeline,
            examples=examples,
            models=models,
            teacher="teacher",
            baseline=list(models)[-1],
            class_names=[str(digit) for digit in range(10)],
            image_shape=IMAGE_SHAPE,
            output=str(folder / "results"),
        )
    )


def read_only(examples: str) -> None:
    """Reads and parses the split with Beam, and does nothing else."""
    source = tfxio.TFExampleRecord(file_pattern=examples, telemetry_descriptors=["Benchmark"])
    run(lambda pipeline: pipeline | source.BeamSource(batch_size=analysis.BATCH_SIZE))


def compare(folder: pathlib.Path, *, names: list[str]) -> None:
    """Computes all intervals and tests, from the outcomes of the last evaluation."""
    outcomes = Outcomes.read(folder / "results" / OUTCOMES_DIRECTORY)
    teacher, scratch, *students = names
    for student in students:
        for baseline in (teacher, scratch):
            compare_accuracies(outcomes.right(student, baseline), confidence=0.95)
        counts = outcomes.right(student, scratch, teacher)
        kinds = np.indices(counts.shape).reshape(3, -1)
        gap_closed(kinds[0], scratch=kinds[1], teacher=kinds[2], counts=counts.ravel(), confidence=0.95)


def shortest(action: Callable[[], object], *, repeats: int) -> float:
    """Returns the shortest time of several runs, after one that does not count, in seconds."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return float(np.min(times))


if __name__ == "__main__":
    main()
