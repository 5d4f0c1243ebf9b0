import pathlib
import shutil

import numpy as np
import pytest

from components.errors import InputError
from components.evaluator.opening import open_models
from components.serving.versions import Versions

CLASSES = ("ant", "bee", "cat")
ZEROS = {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)}


@pytest.fixture
def opened(tmp_path, write_model):
    """Opens a student beside what has been pushed."""

    def run(student=ZEROS, *, incumbent=""):
        return open_models(
            {"kd": write_model(tmp_path / "student", **student)},
            student="kd",
            class_names=CLASSES,
            versions=Versions(tmp_path / "pushed"),
            incumbent=incumbent,
        )

    return run


@pytest.fixture
def push(tmp_path, write_model):
    """Puts a model where the Pusher would."""

    def run(version, **model):
        directory = write_model(tmp_path / "old" / version, **(ZEROS | model))
        shutil.copytree(pathlib.Path(directory, "Format-Serving"), tmp_path / "pushed" / version)

    return run


def test_a_model_of_another_number_of_classes_is_refused(opened):
    with pytest.raises(InputError, match=r"'kd' has 4 outputs, but the data has 3 classes"):
        opened({"kernel": np.zeros((4, 4)), "bias": np.zeros(4)})


def test_a_model_of_another_order_of_classes_is_refused(opened):
    with pytest.raises(InputError, match=r"'kd' was trained for the classes cat, bee, ant, .* ant, bee, cat"):
        opened(ZEROS | {"classes": ["cat", "bee", "ant"]})


@pytest.mark.parametrize(
    ("named", "version"), [("", "17"), ("9", "9")], ids=["found when the node runs", "named beforehand"]
)
def test_the_incumbent_is_the_newest_version_or_the_one_that_is_named(opened, push, tmp_path, named, version):
    for each in ("9", "17"):
        push(each)
    found = opened(incumbent=named)
    assert list(found.models) == ["kd", "incumbent"]
    assert found.models["incumbent"].directory == tmp_path / "pushed" / version
    assert (found.incumbent_version, found.incomparable) == (version, None)
    assert found.warnings == []


@pytest.mark.parametrize("wanted", ["", "none"], ids=["none was pushed", "none is wanted"])
def test_without_an_incumbent_the_students_stand_alone(opened, push, wanted):
    if wanted == "none":
        push("17")
    found = opened(incumbent=wanted)
    assert list(found.models) == ["kd"]
    assert (found.incumbent_version, found.incomparable) == ("none", None)
    assert found.warnings == []


def test_an_incumbent_of_other_classes_is_left_out_with_a_warning(opened, push):
    push("17", classes=["bee", "ant", "cat"])
    found = opened()
    assert list(found.models) == ["kd"]
    (warning,) = found.warnings
    assert (
        "17, is left out of the comparison: it was trained for other classes, or in another order" in warning
    )
    assert "bee, ant, cat" in warning
