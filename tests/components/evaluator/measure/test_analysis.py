import base64
import io
import itertools
import json
import math
import pathlib
import shutil

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image
from sklearn import metrics as sklearn
from tensorflow_metadata.proto.v0 import schema_pb2

from components.evaluator.measure.analysis import analyse
from components.evaluator.measure.outcomes import Outcomes, Where
from components.evaluator.measure.results import read_quality
from components.evaluator.measure.slices import image_size
from components.serving.forms import open_servable

IN_MEMORY = ["--direct_running_mode=in_memory"]
MULTI_PROCESSING = [
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
    "--beam_plugins=tfx",
]
CLASSES = 12
EXAMPLES = 300


def scalar(name, kind):
    feature = schema_pb2.Feature(name=name, type=kind)
    feature.presence.min_fraction = 1
    feature.shape.SetInParent()
    return feature


def class_names(count):
    return [f"class {label}" for label in range(count)]


def read(output, model, classes=3):
    return read_quality(str(output), class_names=class_names(classes))[model]


def run(beam_args, *, output, models, examples, classes=3, **arguments):
    with beam.Pipeline(options=PipelineOptions(beam_args)) as pipeline:
        analyse(
            pipeline,
            examples=str(examples),
            models={
                name: open_servable(pathlib.Path(folder, "Format-Serving")) for name, folder in models.items()
            },
            teacher=next(iter(models)),
            baseline="scratch",
            class_names=class_names(classes),
            image_shape=(2, 2, 1),
            output=str(output),
            **arguments,
        )


@pytest.fixture(autouse=True)
def surroundings(as_in_a_run):
    """Beam is as it is in a run."""


def write_sized(path, *, pixels, labels, heights):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, (image, label, height) in enumerate(zip(pixels, labels, heights, strict=True)):
            feature = (example := tf.train.Example()).features.feature
            feature["image"].bytes_list.value.append(image.astype(np.uint8).tobytes())
            feature["id"].bytes_list.value.append(f"{path.stem}/{index:03}".encode())
            feature["label"].int64_list.value.append(int(label))
            feature["height"].int64_list.value.append(int(height))
            feature["width"].int64_list.value.append(8)
            writer.write(example.SerializeToString())


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(IN_MEMORY, id="in_memory"),
        pytest.param(MULTI_PROCESSING, id="multi_processing", marks=pytest.mark.long),
    ],
)
def evaluated(request, tmp_path_factory, write_model):
    """Four models on 300 images of eleven of twelve classes; returns the folder and what NumPy needs."""
    folder = tmp_path_factory.mktemp("evaluated")
    random = np.random.default_rng(7)
    pixels, labels = random.integers(0, 256, (EXAMPLES, 2, 2, 1)), random.integers(0, CLASSES - 1, EXAMPLES)
    heights = random.choice([8, 32], EXAMPLES)
    for shard in range(3):
        mine = slice(shard * 100, shard * 100 + 100)
        write_sized(
            folder / f"data-{shard}.tfrecord", pixels=pixels[mine], labels=labels[mine], heights=heights[mine]
        )
    models, logits = {}, {}
    for name in ("teacher", "scratch", "kd-1", "kd_2"):
        weight = random.normal(0, 3, (5, CLASSES)).astype(np.float32)
        models[name] = write_model(folder / name, kernel=weight[:4], bias=weight[4])
        logits[name] = pixels.reshape(-1, 4) / 255 @ weight[:4].astype(np.float64) + weight[4]
    run(
        request.param,
        output=folder / "results",
        models=models,
        examples=folder / "data-*",
        classes=CLASSES,
        slices=("height", "image_size"),
        slice_features=[scalar(name, schema_pb2.INT) for name in ("height", "width")],
    )
    return folder / "results", pixels, labels, heights, logits


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def expect(logits, teacher, labels):
    """All metrics, worked out with NumPy and scikit-learn."""
    probabilities, teachers = softmax(logits), softmax(teacher)
    named, right = logits.argmax(axis=1), logits.argmax(axis=1) == labels
    agreed, teacher_right = named == teacher.argmax(axis=1), teacher.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1)
    bins = np.minimum(np.floor(confidence * 15), 14)
    shares = [
        (bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean()) for b in set(bins)
    ]
    areas = [
        sklearn.roc_auc_score(labels == label, probabilities[:, label])
        for label in set(labels)
        if len(set(labels)) > 1
    ]
    ranks = (probabilities > probabilities[np.arange(len(labels)), labels][:, np.newaxis]).sum(axis=1)
    return {
        "example_count": len(labels),
        "accuracy": right.mean(),
        "cross_entropy": -np.log(probabilities[np.arange(len(labels)), labels]).mean(),
        "expected_calibration_error": sum(shares),
        "macro_f1": sklearn.f1_score(labels, named, labels=sorted(set(labels)), average="macro"),
        "auc": np.mean(areas) if areas else math.nan,
        "top_k_accuracy": (ranks < 5).mean(),
        "agreement_with_teacher": agreed.mean(),
        "kl_from_teacher": (teachers * np.log(teachers / probabilities)).sum(axis=1).mean(),
        "agreement_where_teacher_right": agreed[teacher_right].mean() if teacher_right.any() else math.nan,
        "agreement_where_teacher_wrong": agreed[~teacher_right].mean()
        if (~teacher_right).any()
        else math.nan,
    }


def test_metrics_equal_numpy_and_scikit_learn_for_every_model_and_slice(evaluated):
    output, _, labels, heights, logits = evaluated
    everything = {None: np.full(EXAMPLES, True)}
    everything |= {("class", f"class {label}"): labels == label for label in set(labels)}
    everything |= {("height", str(height)): heights == height for height in (8, 32)}
    everything |= {("image_size", "8-15"): heights == 8, ("image_size", "16-31"): heights == 32}
    for name in logits:
        found = read(output, name, CLASSES).metrics
        assert set(found) == set(everything)
        for key, mine in everything.items():
            expected = expect(logits[name][mine], logits["teacher"][mine], labels[mine])
            if key and key[0] == "class":  # Of the class against all others.
                label = int(key[1].removeprefix("class "))
                expected["auc"] = sklearn.roc_auc_score(mine, softmax(logits[name])[:, label])
            assert set(found[key]) == set(expected)
            for metric, value in expected.items():
                # The models give float32: pairs of scores that all but tie may stand in another order.
                tolerance = 5e-4 if metric == "auc" else 2e-6
                assert found[key][metric] == pytest.approx(value, abs=tolerance, nan_ok=True), (key, metric)


def test_outcomes_are_those_of_every_example(evaluated):
    output, _, labels, heights, logits = evaluated
    outcomes = Outcomes.read(output / "outcomes")
    assert len(outcomes) == EXAMPLES
    np.testing.assert_array_equal(outcomes.label_counts(CLASSES), np.bincount(labels, minlength=CLASSES))
    right = {name: each.argmax(axis=1) == labels for name, each in logits.items()}
    losses = {
        name: np.log(np.exp(each).sum(axis=1)) - each[np.arange(EXAMPLES), labels]
        for name, each in logits.items()
    }
    for name in logits:
        assert outcomes.right(name).tolist() == [np.sum(~right[name]), np.sum(right[name])]
        assert outcomes.mean_loss(name) == pytest.approx(losses[name].mean(), abs=1e-5)
    one, other = list(logits)[:2]
    small, label = heights == 32, labels == 1
    for where, mine in (
        (None, np.full(EXAMPLES, True)),
        (Where("feature:height", "32"), small),
        (Where("label", 1), label),
        (Where("label", -1), np.full(EXAMPLES, False)),
    ):
        counts = outcomes.right(one, other, where=where)
        for first, second in itertools.product((0, 1), repeat=2):
            assert counts[first, second] == np.sum(mine & (right[one] == first) & (right[other] == second))
        differences = [*outcomes.loss_differences(one, baseline=other, where=where), np.empty(0)]
        expected = np.sort((losses[one] - losses[other])[mine])
        np.testing.assert_allclose(np.sort(np.concatenate(differences)), expected, atol=1e-5)


def test_the_confusion_matrix_is_that_of_scikit_learn(evaluated):
    output, _, labels, _, logits = evaluated
    for name, each in logits.items():
        np.testing.assert_array_equal(
            read(output, name, CLASSES).confusion,
            sklearn.confusion_matrix(labels, each.argmax(axis=1), labels=range(CLASSES)),
        )


def test_reliability_is_that_of_each_bin_of_the_confidence(evaluated):
    output, _, labels, _, logits = evaluated
    for name, each in logits.items():
        confidence, right = softmax(each).max(axis=1), each.argmax(axis=1) == labels
        bins = read(output, name, CLASSES).reliability
        assert sum(found["count"] for found in bins) == EXAMPLES
        for index, found in enumerate(bins):
            mine = np.minimum(np.floor(confidence * 15), 14) == index
            expected = {"low": index / 15, "high": (index + 1) / 15, "count": mine.sum()}
            expected |= {"confidence": confidence[mine].mean() if mine.any() else math.nan}
            expected |= {"accuracy": right[mine].mean() if mine.any() else math.nan}
            assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_reliability_adds_up_to_the_calibration_error(evaluated):
    output = evaluated[0]
    for name in evaluated[-1]:
        quality = read(output, name, CLASSES)
        bins = [each for each in quality.reliability if each["count"]]
        error = sum(each["count"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / EXAMPLES
        assert error == pytest.approx(quality.metrics[None]["expected_calibration_error"])


def test_disagreements_show_images_on_which_a_model_differs_from_the_teacher(evaluated):
    output, pixels, labels, _, logits = evaluated
    images = json.loads((output / "disagreements.json").read_text())["images"]
    assert len(images) == 24
    for shown in images:
        shard, number = shown["id"].split("/")
        index = int(shard.removeprefix("data-")) * 100 + int(number)
        assert shown["label"] == f"class {labels[index]}"
        named = {name: f"class {each[index].argmax()}" for name, each in logits.items()}
        assert {name: each["class"] for name, each in shown["predictions"].items()} == named
        assert len(set(named.values())) > 1
        png = base64.b64decode(shown["image"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels[index, :, :, 0])


@pytest.fixture(scope="module")
def extremes(tmp_path_factory, write_examples, write_model):
    """One image of class 1, seen by a model that is surely wrong and by one that gives NaN."""
    folder = tmp_path_factory.mktemp("extremes")
    write_examples(folder / "data.tfrecord", pixels=np.full((1, 2, 2, 1), 255), labels=[1], ids=["only"])
    models = {
        "scratch": write_model(folder / "wrong", kernel=np.zeros((4, 3)), bias=[200, 0, 0]),
        "broken": write_model(folder / "broken", kernel=np.full((4, 3), math.nan), bias=[0, 0, 0]),
    }
    run(IN_MEMORY, output=folder / "results", models=models, examples=folder / "data.tfrecord")
    return folder / "results"


def test_cross_entropy_is_not_clipped(extremes):
    # Softmax in float32 gives a probability of 0 here; log(exp(200) + 2) - 0 is 200.
    overall = read(extremes, "scratch").metrics[None]
    assert overall["cross_entropy"] == pytest.approx(200)
    assert overall["accuracy"] == 0


def test_one_example_is_enough(extremes):
    found = read(extremes, "scratch").metrics
    assert set(found) == {None, ("class", "class 1")}
    assert found[None]["example_count"] == 1
    assert math.isnan(found[None]["auc"])
    assert math.isnan(found[None]["agreement_where_teacher_right"])


def test_a_model_that_gives_nan_is_right_nowhere_and_agrees_with_nobody(extremes):
    overall = read(extremes, "broken").metrics[None]
    assert overall["accuracy"] == overall["agreement_with_teacher"] == 0
    for metric in ("cross_entropy", "expected_calibration_error", "macro_f1", "kl_from_teacher"):
        assert math.isnan(overall[metric])
    assert pq.read_table(extremes / "outcomes")["broken:class"].to_pylist() == [-1]
    assert read(extremes, "broken").confusion.sum() == 0
    assert all(each["count"] == 0 for each in read(extremes, "broken").reliability)
    (shown,) = json.loads((extremes / "disagreements.json").read_text())["images"]
    assert shown["predictions"]["broken"] == {"class": None, "probability": None}


def test_results_are_what_tfma_reads(extremes):
    result = tfma.load_eval_result(str(extremes), model_name="scratch")
    metrics = result.get_metrics_for_slice((("label", 1),))
    assert metrics["example_count"]["doubleValue"] == 1
    assert metrics["accuracy"]["doubleValue"] == 0


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1, 1, "1-1"), (8, 8, "8-15"), (500, 375, "256-511"), (512, 512, "512-1023"), (3, 1, "1-1")],
)
def test_image_size_is_the_geometric_mean_in_powers_of_two(height, width, expected):
    assert image_size(height, width) == expected


def test_what_an_interrupted_pass_has_left_is_no_outcome(evaluated, tmp_path):
    output, *_ = evaluated
    shutil.copytree(output / "outcomes", tmp_path / "outcomes")
    part = next((tmp_path / "outcomes").glob("*.parquet"))
    (tmp_path / "outcomes" / "beam-temp-part-1").mkdir()
    shutil.copy(part, tmp_path / "outcomes" / "beam-temp-part-1" / "whole.part.parquet")
    (tmp_path / "outcomes" / "beam-temp-part-1" / "torn.part.parquet").write_bytes(part.read_bytes()[:99])

    assert len(Outcomes.read(tmp_path / "outcomes")) == EXAMPLES
