"""Teachers that were trained elsewhere, as real files."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.models.building import load_model
from components.pretrained.importing import import_teacher

CLASSES = ("ant", "bee", "cat")


def linear(shape: tuple[int, ...] = (2, 2, 1), *, units: int = 3, activation: str | None = None) -> Any:
    """A model whose outputs are `pixels @ kernel`, with a kernel of small whole numbers."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation, use_bias=False),
        ]
    )
    model.set_weights([np.arange(np.prod(shape) * units).reshape(-1, units) % 5 - 2.0])
    return model


def images(shape: tuple[int, ...] = (2, 2, 1)) -> np.ndarray:
    return np.random.default_rng(3).random((4, *shape), dtype=np.float32)


def run(path: pathlib.Path, *, shape: tuple[int, int, int] = (2, 2, 1), **options: Any) -> keras.Model:
    settings: dict[str, Any] = {"outputs": "logits", "pixels": "zero_to_one", "class_names": CLASSES}
    return import_teacher(str(path), image_shape=shape, **(settings | options))


@pytest.fixture
def save(tmp_path: pathlib.Path) -> Callable[[keras.Model], pathlib.Path]:
    def write(model: keras.Model) -> pathlib.Path:
        model.save(tmp_path / "teacher.keras")
        return tmp_path / "teacher.keras"

    return write


@pytest.fixture
def refusal(save: Callable[[keras.Model], pathlib.Path]) -> Callable[..., str]:
    """Returns the sentence with which a model is refused."""

    def refuse(model: keras.Model | pathlib.Path, **options: Any) -> str:
        path = model if isinstance(model, pathlib.Path) else save(model)
        with pytest.raises(InputError) as caught:
            run(path, **options)
        message = str(caught.value)
        assert message.startswith(
            (f"The teacher {path} ", f"The signature 'serving_default' of the teacher {path} ")
        )
        assert "\n" not in message
        return message

    return refuse


def test_a_keras_file_predicts_as_before(save: Callable[..., pathlib.Path]) -> None:
    model = linear()

    teacher = run(save(model))

    assert (teacher.input_shape, teacher.output_shape) == ((None, 2, 2, 1), (None, 3))
    assert [layer.name for layer in teacher.layers] == [layer.name for layer in model.layers]
    np.testing.assert_allclose(teacher(images()), images().reshape(4, 4) @ model.get_weights()[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "scale", "offset"), [("minus_one_to_one", 2, -1), ("zero_to_255", 255, 0)]
)
def test_pixels_become_those_that_the_teacher_was_trained_on(
    pixels: str, scale: int, offset: int, save: Callable[..., pathlib.Path]
) -> None:
    model = linear()

    teacher = run(save(model), pixels=pixels)

    expected = (images().reshape(4, 4) * scale + offset) @ model.get_weights()[0]
    np.testing.assert_allclose(teacher(images()), expected, rtol=1e-4, atol=1e-5)


def test_images_of_another_size_and_grey_are_adapted_inside(save: Callable[..., pathlib.Path]) -> None:
    model = linear((4, 6, 3))

    teacher = run(save(model), shape=(2, 3, 1))

    # Twice the size, bilinearly: by hand along one axis [a, b] becomes [a, 3a/4 + b/4, a/4 + 3b/4, b].
    def double(values: np.ndarray, axis: int) -> np.ndarray:
        padded = np.concatenate([values.take([0], axis), values, values.take([-1], axis)], axis)
        near, before, after = (
            padded.take(range(start, start + values.shape[axis]), axis) for start in (1, 0, 2)
        )
        pair = np.stack([0.75 * near + 0.25 * before, 0.75 * near + 0.25 * after], axis + 1)
        return pair.reshape(*values.shape[:axis], -1, *values.shape[axis + 1 :])

    large = np.repeat(double(double(images((2, 3, 1)), 1), 2), 3, axis=-1)
    expected = large.reshape(4, -1) @ model.get_weights()[0]
    np.testing.assert_allclose(teacher(images((2, 3, 1))), expected, rtol=1e-4, atol=1e-4)


def test_colours_become_their_luminance(save: Callable[..., pathlib.Path]) -> None:
    model = linear((2, 2, 1))

    teacher = run(save(model), shape=(2, 2, 3))

    grey = images((2, 2, 3)) @ np.array([0.2989, 0.587, 0.114])
    np.testing.assert_allclose(
        teacher(images((2, 2, 3))), grey.reshape(4, 4) @ model.get_weights()[0], rtol=1e-3, atol=1e-4
    )


def test_probabilities_become_finite_logits(save: Callable[..., pathlib.Path]) -> None:
    model = linear(activation="softmax")

    teacher = run(save(model), outputs="probabilities")

    np.testing.assert_allclose(
        keras.ops.softmax(teacher(images())), model.predict(images(), verbose=0), rtol=1e-5
    )
    model.set_weights([1e4 * model.get_weights()[0]])
    np.testing.assert_allclose(np.min(run(save(model), outputs="probabilities")(images())), np.log(1e-7))


def test_a_saved_model_lives_on_inside_the_keras_file(tmp_path: pathlib.Path) -> None:
    """Moved away from where it came from, saved twice, and saved for serving."""
    model = linear((4, 4, 3))
    model.export(tmp_path / "exported", verbose=False)
    run(tmp_path / "exported", shape=(2, 2, 1)).save(tmp_path / "model.keras")
    (tmp_path / "exported").rename(tmp_path / "gone")

    load_model(tmp_path / "model.keras").save(tmp_path / "again.keras")
    teacher = load_model(tmp_path / "again.keras")

    grey = keras.layers.Resizing(4, 4)(images())
    expected = np.repeat(grey, 3, axis=-1).reshape(4, -1) @ model.get_weights()[0]
    np.testing.assert_allclose(teacher(images()), expected, rtol=1e-4, atol=1e-4)
    assert teacher.count_params() == 4 * 4 * 3 * 3

    served = tf.Module()
    served.model = teacher
    served.predict = tf.function(teacher, input_signature=[tf.TensorSpec([None, 2, 2, 1])])
    tf.saved_model.save(served, str(tmp_path / "served"))
    reloaded = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(reloaded.predict(images()), expected, rtol=1e-4, atol=1e-4)


def test_of_several_outputs_of_a_saved_model_the_one_of_that_name_is_taken(
    tmp_path: pathlib.Path, refusal: Callable[..., str]
) -> None:
    served = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], name="pixels")])
    def predict(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.reshape(pixels, (-1, 4))[:, :3]
        return {"logits": logits, "class": tf.argmax(logits, axis=-1)}

    served.predict = predict
    tf.saved_model.save(served, str(tmp_path), signatures={"serving_default": predict})

    np.testing.assert_allclose(run(tmp_path)(images()), images().reshape(4, 4)[:, :3])
    message = refusal(tmp_path, outputs="probabilities")
    assert "has the outputs class, logits" in message
    assert "that is called 'probabilities'" in message


def test_an_artifact_of_this_pipeline_is_given_by_its_directory(
    tmp_path: pathlib.Path, save: Callable[..., pathlib.Path], refusal: Callable[..., str]
) -> None:
    save(linear()).rename(tmp_path / "model.keras")
    noted = tmp_path / "Format-Serving" / "assets.extra" / "classes.json"
    noted.parent.mkdir(parents=True)
    noted.write_text(json.dumps(CLASSES))

    assert run(tmp_path).output_shape == (None, 3)
    assert "in another order" in refusal(tmp_path, class_names=("bee", "ant", "cat"))


def test_a_path_without_a_model_is_refused(tmp_path: pathlib.Path, refusal: Callable[..., str]) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.keras")
    assert "neither a .keras file nor a SavedModel" in refusal(tmp_path)
    (tmp_path / "text.keras").write_text("weights")
    assert "neither a .keras file nor a SavedModel" in refusal(tmp_path / "text.keras")


def test_code_inside_a_file_is_refused(tmp_path: pathlib.Path, refusal: Callable[..., str]) -> None:
    layers = [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Lambda(lambda x: x[:, :3])]

    message = refusal(keras.Sequential(layers))

    assert "cannot be loaded in safe mode" in message
    assert "as a SavedModel with model.export" in message


def test_a_damaged_file_is_refused(save: Callable[..., pathlib.Path], refusal: Callable[..., str]) -> None:
    import zipfile

    path = save(linear())
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
    assert "cannot be loaded in safe mode" in refusal(path)


def test_a_damaged_saved_model_is_refused(tmp_path: pathlib.Path, refusal: Callable[..., str]) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"cut short")
    assert "cannot be loaded by its signature 'serving_default'" in refusal(tmp_path)


def test_what_takes_no_images_or_returns_no_classes_is_refused(refusal: Callable[..., str]) -> None:
    assert "has outputs of shape (None, 4), but the data has 3 classes" in refusal(linear(units=4))
    assert "takes inputs of shape (None, 4), not one batch of images" in refusal(linear((4,)))
    assert "takes inputs of shape (None, 2, 2, 2), not one" in refusal(linear((2, 2, 2)))
    inputs = [keras.Input((2, 2, 1)), keras.Input((2, 2, 1))]
    two = keras.Model(inputs, linear()(keras.layers.Add()(inputs)))
    assert "(None, 2, 2, 1) and (None, 2, 2, 1)" in refusal(two)
    one = keras.Input((2, 2, 1))
    assert "has 2 outputs" in refusal(keras.Model(one, [linear()(one), linear()(one)]))


def test_a_saved_model_that_takes_texts_is_refused(
    tmp_path: pathlib.Path, refusal: Callable[..., str]
) -> None:
    served = tf.Module()
    served.predict = tf.function(
        lambda examples: {"logits": tf.zeros([tf.size(examples), 3])},
        input_signature=[tf.TensorSpec([None], tf.string, name="examples")],
    )
    tf.saved_model.save(served, str(tmp_path), signatures={"serving_default": served.predict})
    assert "takes 'examples' of string, not one batch of float32 images" in refusal(tmp_path)


def test_logits_and_probabilities_are_told_apart(refusal: Callable[..., str]) -> None:
    assert "set teacher.outputs to probabilities" in refusal(linear(activation="softmax"))
    assert "set it to logits" in refusal(linear(), outputs="probabilities")
