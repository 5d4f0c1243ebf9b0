"""Fine-tunes architectures from weights files that are written here, since nothing can be downloaded."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from components.errors import InputError
from components.models import applications
from components.models.building import build_model
from components.models.fine_tuning import frozen_body
from components.settings.models import FineTunedModel

NAME = "keras.applications.MobileNet"
SHAPE = (32, 32, 1)


@pytest.fixture(scope="module")
def body() -> keras.Model:
    """Its statistics are those of noise, as if it were trained: with those it begins with, nothing passes."""
    keras.utils.set_random_seed(5)
    body = keras.applications.MobileNet(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    body(np.random.default_rng(2).random((8, 32, 32, 3)) * 2 - 1, training=True)
    return body


@pytest.fixture(scope="module")
def weights_file(body: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "mobilenet_notop.weights.h5"
    body.save_weights(path)
    return str(path)


def build(weights_file: str | None) -> keras.Model:
    return build_model(
        applications.architecture(NAME, weights_file=weights_file),
        name=NAME,
        image_shape=SHAPE,
        num_classes=2,
    )


def weights_of_body(model: keras.Model) -> list[np.ndarray]:
    return next(layer for layer in model.layers if isinstance(layer, keras.Model)).get_weights()


def test_a_model_starts_from_the_file_and_prepares_images_as_its_family_does(
    body: keras.Model, weights_file: str
) -> None:
    model = build(weights_file)
    images = np.random.default_rng(1).random((2, *SHAPE), dtype=np.float32)

    for found, expected in zip(weights_of_body(model), body.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    # MobileNet's own preprocessing takes 0 to 255 to [-1, 1].
    features = body.predict(np.repeat(images, 3, axis=-1) * 2 - 1, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(images), features @ kernel + bias, rtol=1e-3, atol=1e-5)


def test_the_head_is_trained_first_then_all_but_batch_normalization(weights_file: str) -> None:
    model = build(weights_file)
    head = ["head/kernel", "head/bias"]
    normalization = {weight.path: np.array(weight) for weight in model.weights if "_bn" in weight.path}

    with frozen_body(model):
        assert [weight.path for weight in model.trainable_weights] == head
    model(np.random.default_rng(3).random((8, *SHAPE)), training=True)

    assert len(normalization) == 27 * 4
    trained = {weight.path for weight in model.trainable_weights}
    assert trained == {weight.path for weight in model.weights} - set(normalization)
    for weight in model.weights:
        if weight.path in normalization:
            np.testing.assert_array_equal(weight, normalization[weight.path])


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[np.ndarray]]:
    """A file of VGG16's weights, and what it holds."""
    body = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "vgg16_notop.weights.h5"
    body.save_weights(path)
    return str(path), body.get_weights()


def test_then_everything_is_trained_scratch_as_a_student_distilled_from_the_labels_alone(
    train_on_noise: Callable[..., keras.Model],
    vgg_weights: tuple[str, list[np.ndarray]],
    tmp_path: pathlib.Path,
) -> None:
    """Both start from the same file and the same new layer, and see the same batches."""
    path, before = vgg_weights
    settings = FineTunedModel(
        architecture="keras.applications.VGG16",
        epochs=1,
        batch_size=8,
        learning_rate=0.001,
        weights=path,
        head_epochs=1,
        head_learning_rate=0.01,
    )

    scratch = weights_of_body(train_on_noise(settings, shape=SHAPE))
    distilled = weights_of_body(train_on_noise(settings, shape=SHAPE, name="Distiller", distilled=True))

    for found, first in zip(scratch, before, strict=True):
        assert not np.array_equal(found, first)
    for found, other in zip(scratch, distilled, strict=True):
        np.testing.assert_array_equal(found, other)
    for history in ("head/history.json", "history.json"):
        assert len(json.loads((tmp_path / "Scratch" / history).read_text())["epochs"]) == 1


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_architecture_are_refused(tmp_path: pathlib.Path) -> None:
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    for given in (path, tmp_path / "missing.weights.h5"):
        with pytest.raises(InputError, match=r"The weights .* do not fit keras.applications.MobileNet"):
            build(str(given))


def test_images_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be built for images of 8x8x1"):
        build_model(
            applications.architecture(NAME, weights_file=None),
            name=NAME,
            image_shape=(8, 8, 1),
            num_classes=2,
        )


def test_every_name_is_an_architecture_of_keras_and_none_is_missing() -> None:
    functions: dict[str, Any] = {
        name: each for name, each in vars(keras.applications).items() if name[0].isupper() and callable(each)
    }
    assert set(applications.NAMES) == set(functions)
