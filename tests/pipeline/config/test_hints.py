import pathlib

import keras
import pytest

from components.errors import InputError
from pipeline.config.hints import check_hints
from pipeline.config.loading import load_config

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


def check(*overrides: str, teacher_layer: str, student_layer: str) -> None:
    hinted = f"{{name: hinted, method: hint, teacher_layer: {teacher_layer}, student_layer: {student_layer}}}"
    check_hints(load_config(DIGITS, overrides=[f"distillations=[{hinted}]", *overrides]))


def test_layers_that_the_architectures_have_are_accepted() -> None:
    check(teacher_layer="dense", student_layer="dense")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"teacher_layer": "dens", "student_layer": "dense"},
            r"teacher_layer 'dens' .* allowed: conv2d, conv2d_1, .*dense, .*did you mean 'dense'\?",
        ),
        (
            {"teacher_layer": "dense", "student_layer": "conv2d"},
            "student_layer 'conv2d' is no layer of the student; allowed: flatten, dense, dense_1",
        ),
        ({"teacher_layer": "conv2d", "student_layer": "dense"}, "choose two feature maps, or two vectors"),
    ],
)
def test_hints_that_do_not_fit_are_refused_before_anything_is_trained(
    layers: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(**layers)


def test_a_student_from_a_file_is_looked_into_when_it_is_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "student.keras"
    student = f"student={{from: {path}, epochs: 1, batch_size: 8, learning_rate: 0.1}}"
    check(student, teacher_layer="dense", student_layer="hidden")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="hidden"),
            keras.layers.Dense(10),
        ]
    )
    model.save(path)

    check(student, teacher_layer="dense", student_layer="hidden")
    with pytest.raises(InputError, match=r"student_layer 'hiden' .* did you mean 'hidden'\?"):
        check(student, teacher_layer="dense", student_layer="hiden")
