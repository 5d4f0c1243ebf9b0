"""What throws an unfinished training away, and what does not."""

import pathlib
import shutil
from collections.abc import Callable

import pytest

from components.settings.training import TrainingJob
from components.training.identity import ROOT, identify
from components.training.inputs.training_data import TrainingData


@pytest.fixture
def code(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the components, whose code can be changed."""
    copy = tmp_path / "components"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("training/loop.py", True),
        ("training/callbacks/best_epoch.py", True),
        ("training/inputs/augmentation.py", True),
        ("models/building.py", True),
        ("transform/pixels.py", True),
        ("training/callbacks/progress.py", False),
        ("models/mobile.py", False),
        ("report/charts.py", False),
        ("evaluator/executor.py", False),
        ("distiller/methods/kd.py", False),
    ],
)
def test_the_code_that_decides_the_weights_is_part_of_the_identity(
    file: str, counts: bool, code: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    data = TrainingData(
        training_files=[],
        num_training_examples=0,
        validation_files=[],
        num_validation_examples=0,
        class_names=["cat", "dog"],
    )
    before = identify(make_job(), data, root=code)
    with (code / file).open("a") as source:
        source.write("# Another colour.\n")

    after = identify(make_job(), data, root=code)

    assert {name for name in after if after[name] != before[name]} == ({"code"} if counts else set())
