"""A search with successive halving, on real artifacts."""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.distiller import executor
from components.distiller.methods.base import Method
from components.distiller.methods.kd import Kd
from components.models.building import load_model
from components.settings.models import ImageSettings, ModelSettings
from components.settings.optimization import Cosine
from components.settings.training import HardwareSettings, TrainingJob
from components.training.callbacks.checkpoints import Checkpoints

Distil = Callable[..., pathlib.Path]


@pytest.fixture
def distil(
    tmp_path: pathlib.Path,
    image: ImageSettings,
    give: Callable[..., Any],
    run_distiller: Callable[..., pathlib.Path],
) -> Distil:
    """A function that runs the node on images without labels, and returns where its outputs are."""
    given = give(stored=["train", "validation"], labelled=False)
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
        image=image,
        hardware=HardwareSettings(),
        seed=3,
        labels=False,
        checkpoint_directory=str(tmp_path / "checkpoints"),
    )

    def run(attempt: str, method: Method, **parameters: str) -> pathlib.Path:
        return run_distiller(given, job, method, attempt=attempt, **parameters)

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
