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

from components import distiller
from components.distiller.executor import (
    fingerprint_method,
    tell_what_is_spread,
    warn_if_nothing_is_learnt,
)
from components.distiller.methods.hint import Hint
from components.distiller.methods.kd import Kd
from components.models.building import load_model
from components.settings.models import ImageSettings, ModelSettings
from components.settings.training import AugmentSettings, HardwareSettings, TrainingJob, Views


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


def test_a_user_is_told_how_much_is_spread_over_unlikely_classes(caplog: pytest.LogCaptureFixture) -> None:
    logits = np.log(np.array([[8, 1, 4, 1, 1, 1], [1, 1, 16, 1, 1, 36]], np.float32))
    caplog.set_level("INFO")

    for temperature in (1.0, 2.0):
        method = Kd(name="student", method="kd", temperature=temperature)
        tell_what_is_spread(method, logits, top_k=2, name="Distiller-student")

    # 4 of 16 and of 56 at temperature 1; the roots, 4 of 2 sqrt(2) + 6 and of 14, at 2.
    shares = (4 / 16 + 4 / 56) / 2, (4 / (8**0.5 + 6) + 4 / 14) / 2
    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert told == [
        f"learns {100 * share:.1f}\N{NO-BREAK SPACE}% of its teacher's probability, at temperature "
        f"{temperature}, spread evenly over the classes beyond the 2 most likely"
        for share, temperature in zip(shares, (1, 2), strict=True)
    ]


@pytest.mark.parametrize("asks_teacher", [False, True])
def test_a_student_is_trained_on_images_without_labels_too(
    asks_teacher: bool,
    image: ImageSettings,
    give: Callable[..., Any],
    run_distiller: Callable[..., pathlib.Path],
) -> None:
    """All in one batch, in one step that is too small to change anything."""
    given = give(stored=[] if asks_teacher else ["train", "unlabelled"], unlabelled=40)
    job = TrainingJob(
        name="student",
        model=ModelSettings(architecture="digits_student", epochs=1, batch_size=64, learning_rate=1e-9),
        image=image,
        hardware=HardwareSettings(),
        seed=3,
    )
    method = Kd(name="student", method="kd", temperature=1.0, student_loss_weight=0.5)

    run = run_distiller(given, job, method, asks_teacher=asks_teacher)

    (entry,) = json.loads((run / "model_run" / "history.json").read_text())["epochs"]
    student = load_model(run / "model" / "model.keras")
    images, labels = given.images("train", "unlabelled"), np.arange(24) % 2
    p, q = (
        scipy.special.log_softmax(np.asarray(model(images)), axis=-1) for model in (given.teacher, student)
    )
    own = -q[np.arange(24), labels].sum() / 64
    distance = (np.exp(p) * (p - q)).sum(axis=-1).mean()
    assert entry["loss"] == pytest.approx(0.5 * own + 0.5 * distance, rel=1e-4)
    assert entry["accuracy"] == pytest.approx((q[:24].argmax(axis=-1) == labels).mean())


@pytest.mark.parametrize("views", [None, Views(number=2, seed=3, augment=AugmentSettings(shift=0.2))])
def test_a_hint_without_labels_looks_into_the_teacher_and_validates_on_what_it_says(
    views: Views | None,
    image: ImageSettings,
    give: Callable[..., Any],
    run_distiller: Callable[..., pathlib.Path],
) -> None:
    hidden = keras.layers.Dense(3, name="hidden")
    given = give(hidden, stored=["train", "validation"], views=views, labelled=False)
    job = TrainingJob(
        name="student",
        model=ModelSettings(architecture="digits_student", epochs=2, batch_size=8, learning_rate=0.01),
        image=image,
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

    run = run_distiller(given, job, hint, asks_teacher=True)

    history = json.loads((run / "model_run" / "history.json").read_text())
    assert history["reference"] == "teacher"
    student = load_model(run / "model" / "model.keras")
    named = [np.argmax(model(given.images("validation")), axis=-1) for model in (student, given.teacher)]
    best = history["epochs"][history["best_epoch"] - 1]
    assert best["val_accuracy"] == (named[0] == named[1]).mean()
