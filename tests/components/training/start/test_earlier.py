"""What a training takes over from earlier runs, with real networks and real directories of versions."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import Origin, Versions
from components.settings.models import ImageSettings, ModelSettings
from components.settings.retraining import Keeping, WarmStart
from components.settings.training import HardwareSettings, TrainingJob
from components.stores.folder import Folder
from components.training.inputs.training_data import TrainingData
from components.training.start.earlier import choose_teacher, describe_making, warm_up

SHAPE = (2, 2, 1)
LABELS = [0, 1, 1, 0, 1, 0, 0, 1, 1, 1]


def job(**settings: Any) -> TrainingJob:
    model = {"architecture": "digits_teacher", "epochs": 1, "batch_size": 4, "learning_rate": 0.1}
    return TrainingJob(
        **{
            "name": "Teacher",
            "model": ModelSettings(**model),
            "image": ImageSettings(height=2, width=2, channels=1),
            "hardware": HardwareSettings(),
            "seed": 1,
            **settings,
        }
    )


def network(units: int = 2, *, bias: tuple[float, ...] | None = None) -> keras.Model:
    """Builds a network; with a bias, one that says the same of every image."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(units)])
    if bias is not None:
        model.set_weights([np.zeros((4, units)), np.array(bias)])
    return model


def push(directory: pathlib.Path, student: keras.Model) -> str:
    """Lets a student ship; returns its version."""
    (directory / "model").mkdir(parents=True, exist_ok=True)
    (directory / "model" / "saved_model.pb").touch()
    student.save(directory / "student.keras")
    pushed = Versions(directory / "pushed").push(
        directory / "model", origin=Origin(reason=""), keras_file=directory / "student.keras"
    )
    return pushed.version


def start_from(directory: pathlib.Path, version: str = "") -> TrainingJob:
    return job(name="Scratch", start=WarmStart(directory=str(directory / "pushed"), version=version))


def test_a_student_starts_from_the_one_that_ships_or_the_version_that_is_named(
    tmp_path: pathlib.Path,
) -> None:
    first = push(tmp_path, network(bias=(1.0, 2.0)))
    second = push(tmp_path, network(bias=(3.0, 4.0)))

    def start(version: str) -> list[float]:
        model = network()
        assert warm_up(model, start_from(tmp_path, version))
        return model.get_weights()[1].tolist()

    assert start("") == [3.0, 4.0]
    assert start(first) == [1.0, 2.0]
    Versions(tmp_path / "pushed").roll_back(to=None, reason="bad data")
    assert start("") == [1.0, 2.0]
    assert start(second) == [3.0, 4.0]


@pytest.mark.parametrize("version", ["", "none"])
def test_a_student_starts_anew_where_none_ships(version: str, tmp_path: pathlib.Path) -> None:
    model = network(bias=(5.0, 6.0))

    assert not warm_up(model, start_from(tmp_path, version))
    assert not warm_up(model, job())
    assert model.get_weights()[1].tolist() == [5.0, 6.0]


def test_a_student_of_another_network_starts_anew(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = push(tmp_path, network(3))
    model = network(bias=(5.0, 6.0))

    with caplog.at_level("INFO"):
        assert not warm_up(model, start_from(tmp_path))

    assert model.get_weights()[1].tolist() == [5.0, 6.0]
    assert f"the student that ships, {version}, is another network" in caplog.text


@pytest.fixture
def data(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> TrainingData:
    examples = write_examples(
        tmp_path / "examples",
        pixels=np.zeros((len(LABELS), *SHAPE)),
        labels=LABELS,
        ids=[str(number) for number in range(len(LABELS))],
    )
    return TrainingData(
        training_files=[examples],
        num_training_examples=len(LABELS),
        validation_files=[examples],
        num_validation_examples=len(LABELS),
        class_names=["no", "yes"],
    )


@pytest.fixture
def keep(tmp_path: pathlib.Path, data: TrainingData) -> Callable[..., None]:
    """A function that keeps a teacher that calls everything `yes`: six of ten images are."""

    def keep(**changes: Any) -> None:
        network(bias=(0.0, 1.0)).save(tmp_path / "model.keras")
        KeptTeacher.keep(
            tmp_path / "model.keras",
            made_by=describe_making(job(**changes), data),
            run="first",
            store=Folder(tmp_path),
        )

    return keep


def choose(directory: pathlib.Path, data: TrainingData, **keeping: Any) -> tuple[KeptTeacher | None, str]:
    settings = Keeping(**{"directory": str(directory), "min_accuracy": 0.6, "runs": 3, **keeping})
    return choose_teacher(settings, job(), data)


def test_a_teacher_is_kept_while_it_is_good_enough_on_the_newest_data(
    tmp_path: pathlib.Path, data: TrainingData, keep: Callable[..., None]
) -> None:
    assert choose(tmp_path, data) == (None, "trained, since none was kept from earlier runs")
    keep()

    kept, decision = choose(tmp_path, data)

    assert kept is not None
    assert kept.runs == ("first",)
    assert (
        decision == "kept, for run 2 of 3: 60.00% of the newest validation images are right, at least 60.00%"
    )
    assert choose(tmp_path, data, min_accuracy=0.61) == (
        None,
        "trained anew: of the kept one 60.00% of the newest validation images are right, fewer than 61.00%",
    )


def test_a_teacher_is_kept_for_so_many_runs(
    tmp_path: pathlib.Path, data: TrainingData, keep: Callable[..., None]
) -> None:
    keep()
    for run in ("second", "second", "third"):  # One that is done again counts once.
        kept, _ = choose(tmp_path, data)
        assert kept is not None
        kept.teach(run)

    assert choose(tmp_path, data) == (
        None,
        "trained anew, since the kept one has taught in 3 runs",
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image": ImageSettings(height=2, width=2, channels=1, resize="pad")}, "image"),
        ({"code_fingerprint": "other"}, "code"),
    ],
)
def test_a_teacher_that_was_made_otherwise_is_not_kept(
    changes: dict[str, Any],
    named: str,
    tmp_path: pathlib.Path,
    data: TrainingData,
    keep: Callable[..., None],
) -> None:
    keep(**changes)

    assert choose(tmp_path, data) == (None, f"trained anew, since the kept one had other {named}")


def test_a_new_teacher_takes_the_place_of_the_old_one(
    tmp_path: pathlib.Path, keep: Callable[..., None]
) -> None:
    keep()
    old = KeptTeacher.find(Folder(tmp_path))
    network(bias=(7.0, 7.0)).save(tmp_path / "other.keras")

    KeptTeacher.keep(tmp_path / "other.keras", made_by={}, run="later", store=Folder(tmp_path))

    new = KeptTeacher.find(Folder(tmp_path))
    assert old is not None
    assert new is not None
    assert new.keras_file != old.keras_file
    assert new.keras_file.read_bytes() == (tmp_path / "other.keras").read_bytes()
    assert new.runs == ("later",)
    assert [path.name for path in tmp_path.glob("teacher-*.keras")] == [new.keras_file.name]
