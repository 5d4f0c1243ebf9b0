"""What throws an unfinished training away, and what does not."""

import pathlib
import shutil
from collections.abc import Callable

import pytest

from components.settings.models import ContinuedModel
from components.settings.training import TrainingJob
from components.training.identity import ROOT, identify
from components.training.inputs.training_data import TrainingData

NO_DATA = TrainingData(
    training_files=[],
    num_training_examples=0,
    validation_files=[],
    num_validation_examples=0,
    class_names=["cat", "dog"],
)


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
        ("training/start/continued.py", True),
        ("models/fine_tuning.py", True),
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
    before = identify(make_job(), NO_DATA, root=code)
    with (code / file).open("a") as source:
        source.write("# Another colour.\n")

    after = identify(make_job(), NO_DATA, root=code)

    assert {name for name in after if after[name] != before[name]} == ({"code"} if counts else set())


def test_the_content_of_the_file_that_a_student_starts_from_is_part_of_the_identity(
    tmp_path: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    start = tmp_path / "student.keras"
    values = {"from": str(start), "epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    job = make_job().model_copy(update={"model": ContinuedModel(**values)})
    start.write_bytes(b"some weights")
    before = identify(job, NO_DATA)

    start.write_bytes(b"other weights")

    after = identify(job, NO_DATA)
    assert {name for name in after if after[name] != before[name]} == {"initial weights"}
