import pathlib

import keras
import numpy as np
import pytest

from components.evaluator.measure.cost import (
    Layer,
    count_keras_multiply_adds,
    count_saved_parameters,
    describe_layers,
    directory_size,
    measuring_speed,
)
from components.serving.export import export_model

layers = keras.layers


def sequential(*parts, shape=(8, 10, 3)):
    return keras.Sequential([keras.Input(shape), *parts])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(sequential(layers.Flatten(), layers.Dense(7)), 8 * 10 * 3 * 7, id="dense"),
        pytest.param(sequential(layers.Dense(5)), 8 * 10 * 3 * 5, id="dense on each pixel"),
        pytest.param(sequential(layers.Conv2D(4, (3, 5))), (6 * 6 * 4) * (3 * 5 * 3), id="convolution"),
        pytest.param(
            sequential(layers.Conv2D(4, 3, strides=2, padding="same")), (4 * 5 * 4) * (9 * 3), id="strides"
        ),
        pytest.param(
            sequential(layers.Conv2D(6, 1, groups=3, use_bias=False)), (8 * 10 * 6) * 1, id="groups"
        ),
        pytest.param(
            sequential(layers.DepthwiseConv2D(3, depth_multiplier=2)), (6 * 8 * 3 * 2) * 9, id="depthwise"
        ),
        pytest.param(
            sequential(layers.SeparableConv2D(4, 3)), (6 * 8 * 3) * 9 + (6 * 8 * 4) * 3, id="separable"
        ),
        pytest.param(
            sequential(layers.Conv2DTranspose(4, 2, strides=2)), (8 * 10 * 3) * (4 * 4), id="transposed"
        ),
        pytest.param(
            sequential(layers.EinsumDense("bhwc,cd->bhwd", output_shape=(8, 10, 5))),
            8 * 10 * 3 * 5,
            id="einsum",
        ),
        pytest.param(
            sequential(layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D()),
            0,
            id="cheap layers count nothing",
        ),
        pytest.param(
            sequential(sequential(layers.Conv2D(2, 1)), layers.Flatten(), layers.Dense(3)),
            8 * 10 * 2 * 3 + 160 * 3,
            id="a model within a model",
        ),
    ],
)
def test_multiply_adds_worked_by_hand(model, expected):
    assert count_keras_multiply_adds(model) == expected


def test_layers_are_described_in_order():
    model = sequential(layers.Conv2D(4, 3, name="see"), layers.Flatten(name="flatten"), shape=(5, 5, 1))
    assert describe_layers(model) == [
        Layer(name="see", type="Conv2D", output_shape=(None, 3, 3, 4), parameters=40),
        Layer(name="flatten", type="Flatten", output_shape=(None, 36), parameters=0),
    ]


def test_size_is_that_of_all_files(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"x" * 1000)
    (tmp_path / "variables" / "data").write_bytes(b"x" * 234)
    assert directory_size(tmp_path) == 1234


def test_parameters_of_an_exported_model_are_those_of_its_layers(tmp_path, transform_graph):
    model = sequential(layers.BatchNormalization(), layers.Flatten(), layers.Dense(2), shape=(8, 8, 1))
    export_model(
        model,
        class_names=("ant", "bee"),
        image_shape=(8, 8, 1),
        transform_graph=transform_graph,
        keras_file=str(tmp_path / "model.keras"),
        serving_dir=str(tmp_path / "serving"),
    )
    assert count_saved_parameters(str(tmp_path / "serving")) == 4 + 64 * 2 + 2 == model.count_params()


def test_speed_is_measured_for_each_model(tmp_path, write_model):
    models = {
        name: write_model(pathlib.Path(tmp_path, name), kernel=np.zeros((4, 3)), bias=np.zeros(3))
        for name in ("one", "two")
    }
    serving_dirs = {name: f"{folder}/Format-Serving" for name, folder in models.items()}
    before = _children()
    with measuring_speed(serving_dirs, image_bytes=4, seconds=0.01) as measure_speed:
        speeds = measure_speed()
    assert _children() == before
    assert list(speeds) == ["one", "two"]
    for speed in speeds.values():
        assert 0 < speed.latency_median_ms <= speed.latency_p95_ms
        assert speed.throughput > 0


def test_a_model_whose_speed_cannot_be_measured_is_an_error(tmp_path):
    with (
        measuring_speed({"one": str(tmp_path / "missing")}, image_bytes=4) as measure_speed,
        pytest.raises(RuntimeError, match="Measuring the speed failed with code 1"),
    ):
        measure_speed()


def test_no_process_outlives_what_failed_before_the_speed_was_measured():
    before = _children()
    with pytest.raises(ValueError, match="analysis"), measuring_speed({}, image_bytes=4):
        raise ValueError("analysis")
    assert _children() == before


def _children():
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]
