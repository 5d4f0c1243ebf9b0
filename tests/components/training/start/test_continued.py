"""Students that start from a `.keras` file, as real files."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from components.errors import InputError
from components.training.online_teacher import Layers, online_with_features
from components.training.start.continued import Continued, continue_model

SHAPE = (4, 4, 1)
Save = Callable[..., pathlib.Path]


@pytest.fixture
def save(tmp_path: pathlib.Path) -> Save:
    """A function that writes a model of random weights, all of them, which ends in some layers."""

    def write(*end: keras.Layer, shape: tuple[int, ...] = SHAPE, functional: bool = False) -> pathlib.Path:
        keras.utils.set_random_seed(3)
        layers = [
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu", name="hidden"),
            keras.layers.BatchNormalization(name="normalization"),
            *end,
        ]
        images = keras.Input(shape)
        if functional:
            outputs = images + 0  # An operation that is no layer.
            for layer in layers:
                outputs = layer(outputs)
            model = keras.Model(images, outputs)
        else:
            model = keras.Sequential([images, *layers])
        model.set_weights([np.random.default_rng(1).random(each.shape) for each in model.get_weights()])
        model.save(tmp_path / "student.keras")
        return tmp_path / "student.keras"

    return write


def dense(units: int, **settings: Any) -> keras.layers.Dense:
    return keras.layers.Dense(units, name="last", **settings)


def run(path: pathlib.Path, *, num_classes: int = 3, precision: str = "float32") -> Continued:
    return continue_model(str(path), image_shape=SHAPE, num_classes=num_classes, precision=precision)


def images() -> np.ndarray:
    return np.random.default_rng(2).random((6, *SHAPE), dtype=np.float32)


def features(model: keras.Model) -> np.ndarray:
    """Computes what the layer before the last returns, in NumPy."""
    kernel, bias = model.get_layer("hidden").get_weights()
    scale, offset, mean, variance = model.get_layer("normalization").get_weights()
    hidden = np.maximum(images().reshape(6, -1) @ kernel + bias, 0)
    return (hidden - mean) / np.sqrt(variance + 1e-3) * scale + offset


def test_a_file_of_the_same_classes_goes_on_as_it_is(save: Save) -> None:
    path = save(dense(3))

    found = run(path)

    before = keras.saving.load_model(path)
    assert found.former_classes is None
    assert [layer.name for layer in found.model.layers[1:]] == [layer.name for layer in before.layers]
    np.testing.assert_array_equal(found.model(images()), before(images()))
    assert len(found.model.trainable_variables) == len(before.trainable_variables) == 6


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        lambda: [dense(7)],
        lambda: [dense(7, activation="softmax")],
        lambda: [dense(7), keras.layers.Activation("softmax")],
        lambda: [dense(7), keras.layers.Softmax()],
        lambda: [dense(7), keras.layers.Rescaling(1 / 9)],
    ],
)
def test_a_last_layer_of_other_classes_makes_way_for_a_new_one(
    end: Callable[[], list[keras.Layer]], functional: bool, save: Save
) -> None:
    path = save(*end(), functional=functional)

    found = run(path)

    assert found.former_classes == 7
    head = found.model.layers[-1]
    assert (head.name, found.model.output_shape) == ("head", (None, 3))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(found.model(images()), features(found.model) @ kernel + bias, rtol=1e-4)
    before = keras.saving.load_model(path)
    np.testing.assert_array_equal(
        found.model.get_layer("hidden").get_weights()[0], before.get_layer("hidden").get_weights()[0]
    )
    # Other data's batches would spoil its statistics.
    assert {each.path for each in found.model.trainable_variables} == {
        "hidden/kernel", "hidden/bias", "head/kernel", "head/bias",
    }  # fmt: skip


def test_a_new_layer_is_the_same_for_the_same_seed_and_takes_no_other_layers_name(save: Save) -> None:
    path = save(keras.layers.Dense(4, name="head"), dense(7))

    def new_kernel(seed: int) -> np.ndarray:
        keras.utils.set_random_seed(seed)
        return run(path).model.get_layer("head_1").get_weights()[0]

    np.testing.assert_array_equal(new_kernel(1), new_kernel(1))
    assert np.abs(new_kernel(1) - new_kernel(2)).max() > 0.01


def test_the_precision_is_the_runs_not_the_files(save: Save) -> None:
    path = save(dense(3), functional=True)
    exact = run(path).model(images())

    mixed = run(path, precision="mixed_bfloat16").model
    mixed.save(path)
    back = run(path).model
    other_classes = run(path, num_classes=2, precision="mixed_bfloat16")

    assert mixed.get_layer("hidden").compute_dtype == "bfloat16"
    # bfloat16 has 8 bits of precision; the weights are float32 all the same, so that nothing is lost.
    assert 0 < np.abs(mixed(images()) - exact).max() < 0.02 * np.abs(exact).max()
    np.testing.assert_allclose(back(images()), exact, rtol=1e-6)
    for model in (mixed, back, other_classes.model):
        assert model.outputs[0].dtype == "float32"
    assert other_classes.former_classes == 3
    assert other_classes.model.get_layer("head").compute_dtype == "bfloat16"


def test_hidden_layers_can_be_compared_with_the_teachers(save: Save) -> None:
    student = run(save(dense(7))).model
    teacher = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(5, name="first"), dense(3)]
    )

    _, shown = online_with_features(
        teacher, student=student, layers=Layers(teacher="first", student="normalization")
    )

    outputs = shown(images())
    np.testing.assert_allclose(outputs["student_features"], features(student), rtol=1e-4)
    np.testing.assert_array_equal(outputs["logits"], student(images()))


def refusal(path: pathlib.Path | str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        run(pathlib.Path(path), **options)
    message = str(caught.value)
    assert message.startswith(f"student.from {path} ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6, 1), "takes images of 8x6x1, but image says 4x4x1; set image to 8x6x1"),
        ((4, 4, 3), "takes images of 4x4x3, but image says 4x4x1"),
        ((16,), "takes inputs of shape (None, 16), not batches of images"),
    ],
)
def test_other_images_are_refused(shape: tuple[int, ...], message: str, save: Save) -> None:
    assert message in refusal(save(dense(3), shape=shape))


def test_images_of_any_size_are_taken(tmp_path: pathlib.Path) -> None:
    keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    ).save(tmp_path / "any.keras")
    assert run(tmp_path / "any.keras").model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ([dense(3, activation="softmax")], "returns probabilities, but distillation needs logits"),
        ([], "has outputs of shape (None, 5), but the data has 3 classes"),
        ([keras.layers.Reshape((1, 5)), dense(7)], "has outputs of shape (None, 1, 7)"),
    ],
)
def test_outputs_that_cannot_become_logits_are_refused(
    end: list[keras.Layer], message: str, save: Save
) -> None:
    assert message in refusal(save(*end))


def test_what_cannot_be_trained_is_refused(save: Save) -> None:
    path = save(dense(3))
    model = keras.saving.load_model(path)
    model.trainable = False
    model.save(path)
    assert "has no weights that may be trained" in refusal(path)


def test_what_is_no_keras_file_is_refused(save: Save, tmp_path: pathlib.Path) -> None:
    path = save(dense(3))
    path.rename(tmp_path / "model.keras")
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF")

    assert f"does not exist; give a .keras file; did you mean '{tmp_path / 'model.keras'}'?" in refusal(
        tmp_path / "modle.keras"
    )
    assert f"is a directory; give the file in it: {tmp_path / 'model.keras'}." in refusal(tmp_path)
    assert "is no .keras file, which alone can be trained further" in refusal(tmp_path / "weights.h5")


def test_code_in_a_file_is_not_run(save: Save) -> None:
    path = save(keras.layers.Lambda(lambda features: features), dense(3))
    assert "cannot be loaded in safe mode" in refusal(path)
