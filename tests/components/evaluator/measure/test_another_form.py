"""A form of a model that the project does not know: all that is measured of a model is measured of it."""

import json

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from components.evaluator.measure.analysis import analyse
from components.evaluator.measure.cost import Cost, measure_cost
from components.evaluator.measure.results import read_quality
from components.evaluator.measure.speed import measure_speed
from components.serving import forms
from components.serving.saved_model import SavedModel
from components.serving.servable import Servable

CLASSES = ("ant", "bee", "cat")
KERNEL, BIAS = np.random.default_rng(0).normal(0, 3, (4, 3)), np.array([0.5, -0.5, 0])


class Linear(Servable):
    """A linear model of pixels in [0, 1] as a NumPy file."""

    @classmethod
    def lies_in(cls, directory):
        return (directory / "linear.npz").is_file()

    def predict(self, images):
        pixels = np.frombuffer(b"".join(images), np.uint8).reshape(len(images), -1) / 255
        return pixels @ self._weights["kernel"] + self._weights["bias"]

    @property
    def parameters(self):
        return sum(weights.size for weights in self._weights.values())

    @property
    def multiply_adds(self):
        return self._weights["kernel"].size

    @property
    def architecture(self):
        return self._weights["kernel"].shape

    @property
    def _weights(self):
        return np.load(self.directory / "linear.npz")


@pytest.fixture
def models(tmp_path, monkeypatch, write_model):
    """The same weights as a SavedModel and in the other form."""
    monkeypatch.setattr(forms, "FORMS", (*forms.FORMS, Linear))
    write_model(tmp_path / "saved", kernel=KERNEL, bias=BIAS)
    (tmp_path / "linear" / "assets.extra").mkdir(parents=True)
    np.savez(tmp_path / "linear" / "linear.npz", kernel=KERNEL, bias=BIAS)
    (tmp_path / "linear" / "assets.extra" / "classes.json").write_text(json.dumps(CLASSES))
    return {
        "teacher": forms.open_servable(tmp_path / "saved" / "Format-Serving"),
        "student": forms.open_servable(tmp_path / "linear"),
    }


def test_it_is_found_by_what_lies_in_its_directory(models):
    assert [type(model) for model in models.values()] == [SavedModel, Linear]
    assert models["student"].class_names == CLASSES


def test_it_is_analysed_beside_a_saved_model(models, tmp_path, write_examples, as_in_a_run):
    random = np.random.default_rng(1)
    pixels, labels = random.integers(0, 256, (90, 2, 2, 1)), random.integers(0, 3, 90)
    write_examples(
        tmp_path / "data", pixels=pixels, labels=labels, ids=[f"{number:02}" for number in range(90)]
    )
    with beam.Pipeline(options=PipelineOptions(["--direct_running_mode=in_memory"])) as pipeline:
        analyse(
            pipeline,
            examples=str(tmp_path / "data"),
            models=models,
            teacher="teacher",
            baseline="teacher",
            class_names=CLASSES,
            image_shape=(2, 2, 1),
            output=str(tmp_path / "results"),
        )
    logits = pixels.reshape(90, 4) / 255 @ KERNEL + BIAS
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    quality = read_quality(str(tmp_path / "results"), class_names=CLASSES)["student"]
    metrics = quality.metrics[None]
    assert metrics["accuracy"] == np.mean(logits.argmax(axis=1) == labels)
    assert metrics["cross_entropy"] == pytest.approx(-np.log(probabilities[np.arange(90), labels]).mean())
    assert metrics["agreement_with_teacher"] == 1
    assert metrics["kl_from_teacher"] == pytest.approx(0, abs=1e-9)
    table = pq.read_table(tmp_path / "results" / "outcomes").sort_by("id")
    np.testing.assert_array_equal(table["student:class"], logits.argmax(axis=1))


def test_its_cost_and_its_speed_are_measured(models, tmp_path):
    size = sum(path.stat().st_size for path in (tmp_path / "linear").rglob("*.*") if path.is_file())
    assert measure_cost(models["student"]) == Cost(parameters=15, size_bytes=size, multiply_adds=12)
    speeds = measure_speed(models, image_bytes=4, seconds=0.01)
    assert speeds["student"].throughput > 0
    assert speeds["student"] != speeds["teacher"]
