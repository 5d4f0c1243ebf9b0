"""Fine-tunes architectures from weights files that are written here, since nothing can be downloaded."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.errors import InputError
from components.models import applications
from components.models.building import build_model, load_model
from components.models.fine_tuning import frozen_body
from components.settings.models import FineTunedModel, ImageSettings
from components.settings.training import HardwareSettings, TrainingJob
from components.training.inputs.batches import epoch_counter, ordered_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import Destination, train_and_export
from components.training.learner import Learner, Supervised
from components.training.loop import Batches, fit
from components.training.online_teacher import OnlineTeacher

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


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str]) -> str:
    path = tmp_path_factory.mktemp("examples") / "examples.tfrecord"
    pixels = np.random.default_rng(0).integers(0, 256, (16, *SHAPE))
    return write_examples(path, pixels=pixels, labels=[0, 1] * 8, ids=[str(i) for i in range(16)])


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


def test_the_head_is_trained_first_then_all_but_batch_normalization(
    body: keras.Model,
    weights_file: str,
    examples: str,
    tmp_path: pathlib.Path,
    make_job: Callable[..., TrainingJob],
) -> None:
    model = build(weights_file)
    head = model.layers[-1].get_weights()[0]
    batches = ordered_batches([examples], image_shape=SHAPE, batch_size=8, num_examples=16)

    def train() -> None:
        fit(
            Learner(model=model, objective=Supervised()),
            make_job(shape=SHAPE, batch_size=8),
            batches=Batches(training=batches, validation=batches, epoch=epoch_counter()),
            run_dir=tmp_path,
        )

    with frozen_body(model):
        train()

    for found, expected in zip(weights_of_body(model), body.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.abs(model.layers[-1].get_weights()[0] - head).max() > 0.005

    train()

    for found, weight in zip(weights_of_body(model), body.weights, strict=True):
        is_kept = "_bn" in weight.path
        assert np.array_equal(found, weight) == is_kept, weight.path


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[np.ndarray]]:
    """A file of VGG16's weights, and what it holds."""
    body = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "vgg16_notop.weights.h5"
    body.save_weights(path)
    return str(path), body.get_weights()


@pytest.fixture
def train(
    examples: str, vgg_weights: tuple[str, list[np.ndarray]], transform_graph: str, tmp_path: pathlib.Path
) -> Callable[..., pathlib.Path]:
    """A function that fine-tunes VGG16 and returns the directory with its outputs."""

    def run(name: str, *, objective: keras.losses.Loss, teacher: OnlineTeacher | None = None) -> pathlib.Path:
        train_and_export(
            TrainingJob(
                name=name,
                model=FineTunedModel(
                    architecture="keras.applications.VGG16",
                    epochs=1,
                    batch_size=8,
                    learning_rate=0.001,
                    weights=vgg_weights[0],
                    head_epochs=1,
                    head_learning_rate=0.01,
                ),
                image=ImageSettings(height=32, width=32, channels=1),
                hardware=HardwareSettings(),
                seed=7,
            ),
            TrainingData(
                training_files=[examples],
                num_training_examples=16,
                validation_files=[examples],
                num_validation_examples=16,
                class_names=["even", "odd"],
            ),
            objective=objective,
            transform_graph=transform_graph,
            destination=Destination(
                keras_file=str(tmp_path / name / "model.keras"),
                serving_dir=str(tmp_path / name / "Format-Serving"),
                run_dir=str(tmp_path / name / "run"),
            ),
            teacher=teacher,
        )
        return tmp_path / name

    return run


def test_then_everything_is_trained_scratch_as_a_student_distilled_from_the_labels_alone(
    train: Callable[..., pathlib.Path], vgg_weights: tuple[str, list[np.ndarray]], tmp_path: pathlib.Path
) -> None:
    """Both start from the same file and the same new layer, and see the same batches."""
    teacher = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    teacher.save(tmp_path / "teacher.keras")
    method = Kd(name="student", method="kd", student_loss_weight=1.0)

    scratch = train("Scratch", objective=Supervised())
    distilled = train(
        "Distiller",
        objective=Distillation(method),
        teacher=OnlineTeacher(keras_file=str(tmp_path / "teacher.keras")),
    )

    trained = weights_of_body(load_model(scratch / "model.keras"))
    for found, before in zip(trained, vgg_weights[1], strict=True):
        assert not np.array_equal(found, before)
    for found, other in zip(trained, weights_of_body(load_model(distilled / "model.keras")), strict=True):
        np.testing.assert_array_equal(found, other)
    for history in ("run/head/history.json", "run/history.json"):
        assert len(json.loads((scratch / history).read_text())["epochs"]) == 1


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
