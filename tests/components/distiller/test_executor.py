"""Runs the executor on real artifacts, after that of TeacherPredictions."""

import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import scipy.special
from tfx.types import artifact_utils, standard_artifacts

from components import distiller
from components.artifacts import TeacherPredictions
from components.distiller.executor import Executor, fingerprint_method, warn_if_nothing_is_learnt
from components.distiller.methods.hint import Hint
from components.distiller.methods.kd import Kd
from components.models.building import load_model
from components.settings.models import ImageSettings, ModelSettings
from components.settings.training import AugmentSettings, HardwareSettings, TrainingJob, Views
from components.teacher_predictions import executor as teacher_predictions

SIZES = {"train": 24, "validation": 8, "test": 4}
IMAGE = ImageSettings(height=8, width=8, channels=1)


def test_only_its_own_code_is_part_of_what_decides_a_method() -> None:
    folder = pathlib.Path(distiller.__path__[0])
    files = [folder / name for name in ("methods/base.py", "methods/kd.py", "objective.py")]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    method = Kd(name="student", method="kd", temperature=4.0)
    assert fingerprint_method(method) == hashlib.sha256("".join(hashes).encode()).hexdigest()


def test_a_user_is_told_if_nothing_is_left_to_learn_from_the_teacher(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logits = np.array([[0.0, 1.0], [3.0, 2.0]], np.float32)
    for temperature in (4.0, 1e9):
        method = Kd(name="student", method="kd", temperature=temperature)
        warn_if_nothing_is_learnt(method, logits, name="Distiller-student")

    (record,) = [record for record in caplog.records if hasattr(record, "told")]
    assert record.levelname == "WARNING"
    assert record.told == (
        "learns nothing from its teacher: its probabilities at temperature 1e+09 are all equal to float "
        "precision; lower the temperature"
    )


@pytest.mark.parametrize("asks_teacher", [False, True])
def test_a_student_is_trained_on_images_without_labels_too(
    asks_teacher: bool,
    tmp_path: pathlib.Path,
    artifact: Callable[..., Any],
    make_data: Callable[..., Any],
    make_schema: Callable[..., Any],
    transform_graph: str,
    write_examples: Callable[..., str],
) -> None:
    """All in one batch, in one step that is too small to change anything."""
    sizes = SIZES | {"unlabelled": 40}
    labels = {split: [index % 2 for index in range(count)] for split, count in SIZES.items()}
    labels["unlabelled"] = [-1] * 40
    data = make_data(labels, class_names=["even", "odd"])
    random = np.random.default_rng(0)
    pixels = {split: random.integers(0, 256, (count, 64)) for split, count in sizes.items()}
    for split, count in sizes.items():
        folder = tmp_path / "transformed" / f"Split-{split}"
        folder.mkdir(parents=True)
        write_examples(
            folder / "part-0",
            pixels=pixels[split],
            labels=labels[split],
            ids=[f"{split} {index}" for index in range(count)],
        )
    teacher = keras.Sequential([keras.Input(IMAGE.shape), keras.layers.Flatten(), keras.layers.Dense(2)])
    (tmp_path / "teacher").mkdir()
    teacher.save(tmp_path / "teacher" / "model.keras")
    inputs = {
        "examples": [artifact(standard_artifacts.Examples, tmp_path / "transformed", splits=list(sizes))],
        "teacher": [artifact(standard_artifacts.Model, tmp_path / "teacher")],
    }
    stored = {}
    if not asks_teacher:
        (tmp_path / "predictions").mkdir()
        stored["teacher_predictions"] = [artifact(TeacherPredictions, tmp_path / "predictions")]
        teacher_predictions.Executor().Do(
            inputs,
            {"predictions": stored["teacher_predictions"]},
            {"image": IMAGE.model_dump_json(), "splits": json.dumps(["train", "unlabelled"])},
        )
    job = TrainingJob(
        name="student",
        model=ModelSettings(architecture="digits_student", epochs=1, batch_size=64, learning_rate=1e-9),
        image=IMAGE,
        hardware=HardwareSettings(),
        seed=3,
    )
    method = Kd(name="student", method="kd", temperature=1.0, student_loss_weight=0.5)

    Executor().Do(
        inputs
        | stored
        | {
            "schema": [make_schema(data)],
            "statistics": [data.statistics],
            "transform_graph": [artifact(standard_artifacts.TransformGraph, transform_graph)],
        },
        {
            "model": [artifact(standard_artifacts.Model, tmp_path / "student" / "1")],
            "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / "run")],
        },
        {
            "job": job.model_dump_json(),
            "distillation": method.model_dump_json(),
            "asks_teacher": int(asks_teacher),
        },
    )

    (entry,) = json.loads((tmp_path / "run" / "history.json").read_text())["epochs"]
    student = load_model(tmp_path / "student" / "1" / "model.keras")
    images = np.concatenate([pixels["train"], pixels["unlabelled"]]).reshape(-1, *IMAGE.shape) / 255
    p, q = (scipy.special.log_softmax(np.asarray(model(images)), axis=-1) for model in (teacher, student))
    own = -q[np.arange(24), labels["train"]].sum() / 64
    distance = (np.exp(p) * (p - q)).sum(axis=-1).mean()
    assert entry["loss"] == pytest.approx(0.5 * own + 0.5 * distance, rel=1e-4)
    assert entry["accuracy"] == pytest.approx((q[:24].argmax(axis=-1) == labels["train"]).mean())


@pytest.mark.parametrize("views", [None, Views(number=2, seed=3, augment=AugmentSettings(shift=0.2))])
def test_a_hint_without_labels_looks_into_the_teacher_and_validates_on_what_it_says(
    views: Views | None,
    tmp_path: pathlib.Path,
    artifact: Callable[..., Any],
    make_data: Callable[..., Any],
    make_schema: Callable[..., Any],
    transform_graph: str,
    write_examples: Callable[..., str],
) -> None:
    data = make_data(
        {split: [index % 2 for index in range(count)] for split, count in SIZES.items()},
        class_names=["even", "odd"],
    )
    random = np.random.default_rng(0)
    pixels = {split: random.integers(0, 256, (count, 64)) for split, count in SIZES.items()}
    for split, count in SIZES.items():
        folder = tmp_path / "transformed" / f"Split-{split}"
        folder.mkdir(parents=True)
        write_examples(
            folder / "part-0",
            pixels=pixels[split],
            labels=[-1] * count,
            ids=[f"{split} {index}" for index in range(count)],
        )
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2)]
    teacher = keras.Sequential([keras.Input(IMAGE.shape), *layers])
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
        {
            "image": IMAGE.model_dump_json(),
            "splits": splits,
            "views": views and views.model_dump_json(),
        },
    )
    outputs = {
        "model": [artifact(standard_artifacts.Model, tmp_path / "student" / "1")],
        "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / "run")],
    }
    data.statistics.split_names = artifact_utils.encode_split_names(list(SIZES))
    job = TrainingJob(
        name="student",
        model=ModelSettings(architecture="digits_student", epochs=2, batch_size=8, learning_rate=0.01),
        image=IMAGE,
        hardware=HardwareSettings(),
        seed=3,
        labels=False,
        views=views,
    )
    hint = Hint(
        name="student",
        method="hint",
        student_loss_weight=0,
        temperature=1.0,
        teacher_layer="hidden",
        student_layer="dense",
    )

    Executor().Do(
        inputs
        | {
            "schema": [make_schema(data)],
            "statistics": [data.statistics],
            "transform_graph": [artifact(standard_artifacts.TransformGraph, transform_graph)],
            "teacher_predictions": predictions,
        },
        outputs,
        {"job": job.model_dump_json(), "distillation": hint.model_dump_json(), "asks_teacher": 1},
    )

    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["reference"] == "teacher"
    student = load_model(tmp_path / "student" / "1" / "model.keras")
    images = pixels["validation"].reshape(-1, *IMAGE.shape) / 255
    agreement = (np.argmax(student(images), axis=-1) == np.argmax(teacher(images), axis=-1)).mean()
    best = history["epochs"][history["best_epoch"] - 1]
    assert best["val_accuracy"] == agreement
