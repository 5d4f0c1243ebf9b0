import pathlib

import pytest

from components.errors import InputError
from pipeline.config.hints import check_hints
from pipeline.config.loading import load_config

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


def check(*, teacher_layer: str, student_layer: str) -> None:
    hinted = f"{{name: hinted, method: hint, teacher_layer: {teacher_layer}, student_layer: {student_layer}}}"
    check_hints(load_config(DIGITS, overrides=[f"distillations=[{hinted}]"]))


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
