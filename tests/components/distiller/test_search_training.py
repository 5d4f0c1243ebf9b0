"""A search with successive halving, on real artifacts."""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import TeacherPredictions
from components.distiller import executor
from components.distiller.executor import Executor
from components.distiller.methods.base import Method
from components.distiller.methods.kd import Kd
from components.models.building import load_model
from components.settings.models import ImageSettings, ModelSettings
from components.settings.optimization import Cosine
from components.settings.training import HardwareSettings, TrainingJob
from components.teacher_predictions import executor as teacher_predictions
from components.training.callbacks.checkpoints import Checkpoints

SIZES = {"train": 24, "validation": 8, "test": 4}
IMAGE = ImageSettings(height=8, width=8, channels=1)

Distil = Callable[..., pathlib.Path]


@pytest.fixture
def distil(
    tmp_path: pathlib.Path,
    artifact: Callable[..., Any],
    make_data: Callable[..., Any],
    make_schema: Callable[..., Any],
    transform_graph: str,
    write_examples: Callable[..., str],
) -> Distil:
    """A function that runs the node, and returns the directory of its `model` and its `model_run`."""
    data = make_data(
        {split: [index % 2 for index in range(count)] for split, count in SIZES.items()},
        class_names=["even", "odd"],
    )
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(5)
    teacher = keras.Sequential([keras.Input(IMAGE.shape), keras.layers.Flatten(), keras.layers.Dense(2)])
    for split, count in SIZES.items():
        folder = tmp_path / "transformed" / f"Split-{split}"
        folder.mkdir(parents=True)
        write_examples(
            folder / "part-0",
            pixels=random.integers(0, 256, (count, 64)),
            labels=[-1] * count,
            ids=[f"{split} {index}" for index in range(count)],
        )
    (tmp_path / "teacher").mkdir()
    teacher.save(tmp_path / "teacher" / "model.keras")
    inputs = {
        "examples": [artifact(standard_artifacts.Examples, tmp_path / "transformed", splits=list(SIZES))],
        "teacher": [artifact(standard_artifacts.Model, tmp_path / "teacher")],
    }
    (tmp_path / "predictions").mkdir()
    predictions = [artifact(TeacherPredictions, tmp_path / "predictions")]
    splits = json.dumps(["train", "validation"])
    teacher_predictions.Executor().Do(
        inputs,
        {"predictions": predictions},
        {"image": IMAGE.model_dump_json(), "splits": splits, "views": None},
    )
    data.statistics.split_names = artifact_utils.encode_split_names(list(SIZES))
    inputs |= {
        "schema": [make_schema(data)],
        "statistics": [data.statistics],
        "transform_graph": [artifact(standard_artifacts.TransformGraph, transform_graph)],
        "teacher_predictions": predictions,
    }

    def run(
        attempt: str,
        method: Method,
        **parameters: str,
    ) -> pathlib.Path:
        job = TrainingJob(
            name="student",
            model=ModelSettings(
                architecture="digits_student",
                epochs=4,
                batch_size=8,
                learning_rate=0.01,
                schedule=Cosine(name="cosine"),
                ema_decay=0.9,
            ),
            image=IMAGE,
            hardware=HardwareSettings(),
            seed=3,
            labels=False,
            checkpoint_directory=str(tmp_path / "checkpoints"),
        )
        outputs = {
            "model": [artifact(standard_artifacts.Model, tmp_path / attempt / "model")],
            "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / attempt / "model_run")],
        }
        properties = {"job": job.model_dump_json(), "distillation": method.model_dump_json(), **parameters}
        Executor().Do(inputs, outputs, properties | {"asks_teacher": 0})
        return tmp_path / attempt

    return run


def history_of(run: pathlib.Path) -> dict[str, Any]:
    return json.loads((run / "model_run" / "history.json").read_text())


@pytest.mark.long
def test_the_winner_of_a_search_is_the_student_that_nothing_interrupted(
    distil: Distil, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With halving, and after an attempt that was killed at its very end."""
    values = {f"s-T{each:g}": {"temperature": each} for each in (1.0, 50.0)}
    method = Kd(name="s-T1", method="kd", student_loss_weight=0, temperature=1.0)
    search = functools.partial(distil, method=method, variants=json.dumps(values))
    with monkeypatch.context() as patched:
        patched.setattr(executor, "write_trials", _die)
        patched.setattr(Checkpoints, "remove", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            search("killed")
    checkpoints = tmp_path / "checkpoints" / "student"
    assert sorted(path.stem for path in checkpoints.iterdir()) == sorted(values)

    run = search("finished")

    trials = json.loads((run / "model_run" / "search.json").read_text())["variants"]
    assert [trial["settings"] for trial in trials] == list(values.values())
    assert sorted(len(trial["history"]["epochs"]) for trial in trials) == [2, 4]
    (winner,) = (trial for trial in trials if len(trial["history"]["epochs"]) == 4)
    assert winner["history"] == history_of(run)
    alone = distil("alone", method.model_copy(update=winner["settings"]))
    for mine, others in zip(
        load_model(str(run / "model" / "model.keras")).get_weights(),
        load_model(str(alone / "model" / "model.keras")).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, others)
    without_seconds = [
        [each | {"seconds": 0} for each in history_of(which)["epochs"]] for which in (run, alone)
    ]
    assert without_seconds[0] == without_seconds[1]
    assert not checkpoints.exists()


def _die(*_: object) -> None:
    raise KeyboardInterrupt
