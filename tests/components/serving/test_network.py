import keras
import pytest

from components.serving.network import (
    Network,
    NetworkLayer,
    count_keras_multiply_adds,
    describe_layers,
    describe_network,
)

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
        NetworkLayer(name="see", type="Conv2D", output_shape=(None, 3, 3, 4), parameters=40),
        NetworkLayer(name="flatten", type="Flatten", output_shape=(None, 36), parameters=0),
    ]


def test_a_model_is_described_from_its_file(tmp_path):
    model = sequential(layers.Flatten(name="flatten"), layers.Dense(2, name="logits"), shape=(5, 4, 1))
    model.save(tmp_path / "model.keras")
    assert describe_network(tmp_path / "model.keras") == Network(
        image_shape=(5, 4, 1),
        num_outputs=2,
        parameters=20 * 2 + 2,
        multiply_adds=20 * 2,
        layers=(
            NetworkLayer(name="flatten", type="Flatten", output_shape=(None, 20), parameters=0),
            NetworkLayer(name="logits", type="Dense", output_shape=(None, 2), parameters=42),
        ),
    )
