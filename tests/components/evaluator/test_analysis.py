import math

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions

from components.evaluator.analysis import analyse, read_quality

IN_MEMORY = ["--direct_running_mode=in_memory"]
MULTI_PROCESSING = [
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
    "--beam_plugins=tfx",
]


def run(beam_args, **arguments):
    with beam.Pipeline(options=PipelineOptions(beam_args)) as pipeline:
        analyse(pipeline, **arguments)


@pytest.mark.parametrize("beam_args", [IN_MEMORY, MULTI_PROCESSING], ids=["in_memory", "multi_processing"])
def test_analyse_equals_numpy_for_every_model_and_class(tmp_path, write_examples, write_model, beam_args):
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (150, 2, 2, 1))
    labels = random.integers(0, 3, 150)
    for shard in range(3):
        mine = slice(shard, None, 3)
        write_examples(
            tmp_path / f"data-{shard}.gz",
            pixels=pixels[mine],
            labels=labels[mine],
            ids=[str(number) for number in range(150)[mine]],
        )
    weights = {name: random.normal(0, 3, (5, 3)) for name in ("teacher", "scratch", "kd-1", "kd_2")}
    folders = {
        name: write_model(tmp_path / name, kernel=weight[:4], bias=weight[4])
        for name, weight in weights.items()
    }

    run(
        beam_args,
        examples=str(tmp_path / "data-*"),
        models={name: f"{folder}/Format-Serving" for name, folder in folders.items()},
        baseline="scratch",
        output=str(tmp_path / "results"),
    )

    for name, weight in weights.items():
        weight = weight.astype(np.float32).astype(np.float64)
        logits = pixels.reshape(150, 4) / 255 @ weight[:4] + weight[4]
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(150), labels]
        correct = logits.argmax(axis=1) == labels
        overall, per_class = read_quality(str(tmp_path / "results"), model=name, num_classes=3)
        assert overall.examples == 150
        assert overall.accuracy == correct.mean()
        assert overall.cross_entropy == pytest.approx(losses.mean(), rel=1e-5)
        for label, quality in enumerate(per_class):
            assert quality.examples == (labels == label).sum()
            assert quality.accuracy == correct[labels == label].mean()
            assert quality.cross_entropy == pytest.approx(losses[labels == label].mean(), rel=1e-5)


@pytest.fixture(scope="module")
def extremes(tmp_path_factory, write_examples, write_model):
    """One image of class 1, seen by a model that is surely wrong and by one that gives NaN."""
    folder = tmp_path_factory.mktemp("extremes")
    write_examples(folder / "data.gz", pixels=np.full((1, 2, 2, 1), 255), labels=[1], ids=["only"])
    wrong = write_model(folder / "wrong", kernel=np.zeros((4, 3)), bias=[200, 0, 0])
    broken = write_model(folder / "broken", kernel=np.full((4, 3), math.nan), bias=[0, 0, 0])
    run(
        IN_MEMORY,
        examples=str(folder / "data.gz"),
        models={"wrong": f"{wrong}/Format-Serving", "broken": f"{broken}/Format-Serving"},
        baseline="wrong",
        output=str(folder / "results"),
    )
    return str(folder / "results")


def test_cross_entropy_is_not_clipped(extremes):
    # Softmax in float32 gives a probability of 0 here; log(exp(200) + 2) - 0 is 200.
    overall, _ = read_quality(extremes, model="wrong", num_classes=3)
    assert overall.cross_entropy == pytest.approx(200)
    assert overall.accuracy == 0


def test_one_example_is_enough_and_absent_classes_have_no_accuracy(extremes):
    overall, per_class = read_quality(extremes, model="wrong", num_classes=3)
    assert overall.examples == 1
    assert [quality.examples for quality in per_class] == [0, 1, 0]
    assert math.isnan(per_class[0].accuracy)
    assert math.isnan(per_class[2].cross_entropy)


def test_nan_outputs_give_a_nan_cross_entropy(extremes):
    overall, _ = read_quality(extremes, model="broken", num_classes=3)
    assert math.isnan(overall.cross_entropy)


def test_results_are_what_tfma_reads(extremes):
    result = tfma.load_eval_result(extremes, model_name="wrong")
    metrics = result.get_metrics_for_slice((("label", 1),))
    assert metrics["example_count"]["doubleValue"] == 1
    assert metrics["accuracy"]["doubleValue"] == 0
