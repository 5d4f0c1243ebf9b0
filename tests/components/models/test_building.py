import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.models import registry
from components.models.building import build_model


def dense(units: int, activation: str | None = None):
    def architecture(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
        layers = [
            keras.Input(image_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation),
        ]
        return keras.Sequential(layers)

    return architecture


# The labs print their models' sizes: lab 1 at 224x224x3 and 2 classes, lab 2 at 28x28x1 and 10.
# By hand, for lab 2's student: 8*(9+1) + 8*(72+1) + 64*(7*7*8+1) + 32*(64+1) + 10*(32+1) = 28,226.
# The residual networks' convolutions by hand, 2 BatchNormalization weights a channel and the last layer;
# their paper says 0.27 and 0.85 million.
@pytest.mark.parametrize(
    ("name", "image_shape", "num_classes", "parameters"),
    [
        ("mnist_student", (28, 28, 1), 10, 28_226),
        ("mnist_teacher", (28, 28, 1), 10, 160 + 4_640 + 18_496 + 577 * 1024 + 1025 * 512 + 513 * 10),
        ("cats_vs_dogs_student", (224, 224, 3), 2, 896 + 2 * (111 * 111 * 32 + 1)),
        (
            "cats_vs_dogs_teacher",
            (224, 224, 3),
            2,
            896 + 18_496 + 36_928 + 73_856 + 512 * (12 * 12 * 128 + 1) + 2 * 513,
        ),
        ("digits_student", (8, 8, 1), 10, 16 * 65 + 10 * 17),
        ("resnet20", (32, 32, 3), 10, 432 + 13_824 + 50_688 + 202_752 + 2 * 688 + 650),
        # Convolutions of 3x3 without biases; of each channel a shift; the last layer.
        (
            "airbench",
            (32, 32, 3),
            10,
            9 * (3 * 24 + 24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + (24 + 2 * 64 + 4 * 256) + 2_560,
        ),
        ("resnet56", (32, 32, 3), 10, 432 + 41_472 + 161_280 + 645_120 + 2 * 2_032 + 650),
    ],
)
def test_the_architectures_have_the_sizes_of_the_labs(
    name: str, image_shape: tuple[int, int, int], num_classes: int, parameters: int
) -> None:
    model = build_model(registry.load(name), name=name, image_shape=image_shape, num_classes=num_classes)

    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small"])
def test_an_architecture_survives_its_file(name: str, tmp_path: pathlib.Path) -> None:
    model = build_model(registry.load(name), name=name, image_shape=(32, 32, 3), num_classes=10)
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)

    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_a_wrong_number_of_outputs_is_refused() -> None:
    with pytest.raises(InputError, match=r"'mine' has outputs of shape \(None, 7\).*10 classes"):
        build_model(dense(7), name="mine", image_shape=(8, 8, 1), num_classes=10)


def test_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match=r"returns probabilities.*remove the softmax"):
        build_model(dense(10, "softmax"), name="mine", image_shape=(8, 8, 1), num_classes=10)


def test_images_too_small_for_an_architecture_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be built for images of 8x8x3"):
        build_model(
            registry.load("cats_vs_dogs_teacher"),
            name="cats_vs_dogs_teacher",
            image_shape=(8, 8, 3),
            num_classes=2,
        )


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(InputError, match=r"returned int, not a keras\.Model"):
        build_model(lambda image_shape, num_classes: 3, name="mine", image_shape=(8, 8, 1), num_classes=2)


def test_logits_are_float32_in_mixed_precision() -> None:
    model = build_model(
        dense(10), name="mine", image_shape=(8, 8, 1), num_classes=10, precision="mixed_bfloat16"
    )

    assert model.layers[1].compute_dtype == "bfloat16" or model.layers[2].compute_dtype == "bfloat16"
    assert model.outputs[0].dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


# After 100 steps 0.9 ** 100 = 0.003 % of the first guess is left. With Keras's default it would be 37 %, and
# the logits would be off by more than they differ among themselves.
@pytest.mark.parametrize("name", ["resnet20", "airbench"])
def test_a_few_steps_are_enough_for_the_statistics_that_validation_uses(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(registry.load(name), name=name, image_shape=(16, 16, 3), num_classes=5)
    images = np.random.default_rng(0).random((32, 16, 16, 3), dtype=np.float32)
    train = tf.function(lambda: model(images, training=True))
    for _ in range(100):
        in_training = train().numpy()
    in_validation = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(in_validation, in_training, atol=0.1 * in_training.std())
