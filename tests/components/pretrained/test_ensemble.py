import pathlib

import keras
import numpy as np
import pytest

from components.errors import InputError
from components.models.building import load_model
from components.pretrained.ensemble import average


def constant(*logits: float, shape: tuple[int, int, int] = (1, 1, 1)) -> keras.Model:
    """A model that returns the same logits for every image; each is built with the same names."""
    layers = [
        keras.Input(shape),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(len(logits), name="logits"),
    ]
    model = keras.Sequential(layers, name="same")
    model.set_weights([np.zeros((int(np.prod(shape)), len(logits))), np.array(logits)])
    return model


IMAGES = np.zeros((2, 1, 1, 1), np.float32)


def test_probabilities_are_averaged() -> None:
    # (1/2, 1/2) and (9/10, 1/10); their mean is (7/10, 3/10).
    teacher = average({"one": constant(5, 5), "two": constant(np.log(9), 0)})

    np.testing.assert_allclose(teacher(IMAGES), np.log([[0.7, 0.3]] * 2), rtol=1e-5)


def test_every_teacher_counts_alike() -> None:
    members = [constant(*np.log(row)) for row in ([0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.1, 0.8, 0.1])]

    teacher = average(dict(zip("abc", members, strict=True)))

    np.testing.assert_allclose(keras.ops.softmax(teacher(IMAGES)), [[0.3, 0.4, 0.3]] * 2, rtol=1e-5)


def test_large_logits_stay_finite() -> None:
    # (1, 0) and (0, 1), of which the mean is (1/2, 1/2); and (1, 0) twice, where e^-20000 is no float.
    np.testing.assert_allclose(
        average({"one": constant(1e4, -1e4), "two": constant(-1e4, 1e4)})(IMAGES), np.log([[0.5, 0.5]] * 2)
    )
    np.testing.assert_allclose(
        average({"one": constant(1e4, -1e4), "two": constant(1e4, -1e4)})(IMAGES), [[0, -2e4]] * 2
    )


def test_teachers_of_one_architecture_survive_their_file(tmp_path: pathlib.Path) -> None:
    for name, logits in (("one", (5, 5)), ("two", (np.log(9), 0))):
        constant(*logits).save(tmp_path / f"{name}.keras")
    teachers = {name: load_model(tmp_path / f"{name}.keras") for name in ("one", "two")}

    average(teachers).save(tmp_path / "model.keras")

    np.testing.assert_allclose(
        load_model(tmp_path / "model.keras")(IMAGES), np.log([[0.7, 0.3]] * 2), rtol=1e-5
    )


def test_teachers_that_disagree_are_refused() -> None:
    with pytest.raises(InputError, match=r"disagree on the classes: a has shape \(None, 2\), c \(None, 3\)"):
        average({"a": constant(1, 2), "b": constant(3, 4), "c": constant(1, 2, 3)})
    with pytest.raises(InputError, match="disagree on the images: a has shape"):
        average({"a": constant(1, 2), "b": constant(3, 4, shape=(2, 1, 1))})
