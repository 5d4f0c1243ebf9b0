"""Ticks as a schedule calls them, up to where TFX would be imported; the rest is in tests/end_to_end."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from pipeline.config.loading import load_config
from pipeline.events import RunFailed
from pipeline.local.workspace import Workspace, locked
from pipeline.retraining.fingerprints import take_fingerprints
from pipeline.retraining.ledger import Ledger
from pipeline.retraining.tick import retrain

REPOSITORY = pathlib.Path(__file__).parents[3]
DIGITS = REPOSITORY / "configs" / "digits.yaml"
HEAVY = {"tensorflow", "tfx", "keras", "apache_beam", "ml_metadata", "sklearn", "matplotlib", "kfp"}


def _arguments(workspace: pathlib.Path, *more: object) -> tuple[object, ...]:
    return ("retrain", DIGITS, "--workspace", workspace, *more)


def _command(*arguments: object, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *options, "-m", "pipeline", *map(str, arguments)]


@pytest.fixture
def retrain_in(distill: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the command in a workspace, in this process."""

    def call(workspace: pathlib.Path, *more: object, **environment: str) -> Any:
        return distill(*_arguments(workspace, *more), environment=environment)

    return call


def _ticks(workspace: pathlib.Path) -> list[dict[str, Any]]:
    lines = (workspace / "pushed" / "ledger.jsonl").read_text().splitlines()
    return list({tick["run"]: tick for tick in map(json.loads, lines)}.values())


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "run"


@pytest.fixture
def judged(workspace: pathlib.Path) -> pathlib.Path:
    """A workspace in which a tick has pushed a student of what the experiment is now."""
    ledger = Ledger(workspace / "pushed", "digits")
    fingerprints = take_fingerprints(load_config(DIGITS))
    ledger.end(
        dataclasses.replace(
            ledger.begin(),
            outcome="pushed",
            student=0.9,
            version="17",
            **dataclasses.asdict(fingerprints),
        )
    )
    return workspace


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder of a few images of two classes."""
    for label in ("cat", "dog"):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(20):
            Image.new("L", (8, 8), number * (5 if label == "cat" else 12)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def _of(photos: pathlib.Path) -> tuple[str, str]:
    return "--set", f"data={{source: image_folder, path: {photos}}}"


def test_where_nothing_is_new_nothing_is_done_and_nothing_heavy_imported(judged: pathlib.Path) -> None:
    finished = subprocess.run(
        _command(*_arguments(judged), options=("-X", "importtime")),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 0
    before, tick = _ticks(judged)
    assert finished.stdout == f"Nothing new: data, code and configuration are those of {before['began']}.\n"
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}
    assert "rich" in imported
    assert not imported & HEAVY
    assert tick["outcome"] == "nothing new"
    assert [tick[key] for key in ("data", "code", "configuration")] == [
        before[key] for key in ("data", "code", "configuration")
    ]


def test_a_dry_run_says_what_is_new_and_writes_nothing(
    judged: pathlib.Path, photos: pathlib.Path, tmp_path: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    ledger = judged / "pushed" / "ledger.jsonl"
    before = ledger.read_bytes()

    nothing = retrain_in(judged, "--dry-run")
    told = retrain_in(judged, "--dry-run", "--set", "notify.prometheus=/tmp/nowhere/digits.prom")
    changed = retrain_in(judged, "--dry-run", *_of(photos))
    stopped = retrain_in(judged, "--dry-run", *_of(tmp_path / "missing"))
    first = retrain_in(tmp_path / "other", "--dry-run")

    assert [each.returncode for each in (nothing, told, changed, stopped, first)] == [0, 0, 0, 4, 0]
    assert nothing.stdout.startswith("Nothing new: ")
    assert told.stdout == nothing.stdout  # Whom to notify is no reason to train.
    assert changed.stdout.startswith("It would train: data and configuration changed since 20")
    assert "It would stop: " in stopped.stderr
    assert "missing" in stopped.stderr
    assert first.stdout == "It would train: no student has been judged here before.\n"
    assert ledger.read_bytes() == before
    assert list(judged.iterdir()) == [judged / "pushed"]
    assert not (tmp_path / "other").exists()


def test_missing_data_stops_the_tick_and_the_ledger_says_why(
    workspace: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    for _ in range(2):
        finished = retrain_in(workspace, *_of(workspace / "missing"))
        assert finished.returncode == 4
        assert finished.stderr.startswith("distill: data.path: got ")
    first, second = _ticks(workspace)
    for tick in (first, second):
        assert tick["outcome"] == "stopped"
        assert f"distill: {tick['reason']}\n" == finished.stderr
        assert tick["began"] <= tick["ended"]


def test_a_file_that_cannot_be_read_stops_the_tick(
    workspace: pathlib.Path, tmp_path: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    """A name that is too long stands for a file system that answers with an error of its own."""
    finished = retrain_in(workspace, *_of(tmp_path / ("x" * 300)))
    assert finished.returncode == 4
    assert finished.stderr.startswith("distill: data or the file of a model cannot be read ([Errno 36] ")
    assert len(finished.stderr.splitlines()) == 1
    (tick,) = _ticks(workspace)
    assert tick["outcome"] == "stopped"


def test_a_database_that_cannot_be_reached_stops_the_tick(
    workspace: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    finished = retrain_in(workspace, "--set", "metadata=mysql://distill@127.0.0.1:1/mlmd")
    assert finished.returncode == 4
    (tick,) = _ticks(workspace)
    assert tick["outcome"] == "stopped"
    assert tick["reason"].startswith("metadata: mysql://127.0.0.1:1/mlmd cannot be used (")
    assert finished.stderr == f"distill: {tick['reason']}\n"


def test_a_tick_beside_another_run_leaves_at_once(
    workspace: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    with locked(Workspace(workspace)):
        finished = retrain_in(workspace)
    assert finished.returncode == 75
    assert finished.stderr.startswith(f"distill: Another run is using the workspace {workspace}")
    assert not (workspace / "pushed").exists()


def test_a_tick_that_is_killed_is_noted_by_the_next(
    workspace: pathlib.Path, photos: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    command = _command(*_arguments(workspace, *_of(photos)))
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().startswith("Starting TFX")
        beside = retrain_in(workspace, *_of(photos))
        killed.kill()
    assert (beside.returncode, killed.returncode) == (75, -9)
    (begun,) = _ticks(workspace)
    assert begun["ended"] is begun["outcome"] is None

    shutil.rmtree(photos)
    finished = retrain_in(workspace, *_of(photos))

    assert finished.returncode == 4
    assert finished.stdout == f"The run that began {begun['began']} was interrupted, which is noted now.\n"
    closed, stopped = _ticks(workspace)
    assert (closed["run"], closed["outcome"]) == (begun["run"], "interrupted")
    assert stopped["outcome"] == "stopped"


@pytest.mark.parametrize(
    ("is_input_error", "outcome"), [(True, "stopped"), (False, "failed")], ids=["drift", "fault"]
)
def test_a_run_that_comes_to_no_verdict_is_tried_again(
    workspace: pathlib.Path, is_input_error: bool, outcome: str
) -> None:
    """`watch` says how the run ends, instead of looking on."""
    config = load_config(DIGITS)
    last = RunFailed("ExampleValidator found what was not there before.", is_input_error)
    for number in range(2):
        earlier, (tick,) = retrain(config, workspace=Workspace(workspace), watch=lambda events: last)
        assert (tick.outcome, tick.reason) == (outcome, last.message)
        assert tick.fingerprints == take_fingerprints(config)
        assert len(earlier) == number


def test_neither_a_webhook_nor_a_metrics_file_out_of_order_fails_a_tick(
    judged: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    """Port 9 of this machine discards, or is closed."""
    finished = retrain_in(
        judged,
        *("--set", "notify.webhook=http://127.0.0.1:9/path?token=abc", "--set", "notify.secret_env=SECRET"),
        *("--set", f"notify.prometheus={judged / 'missing' / 'digits.prom'}"),
        *_of(judged / "missing"),
        SECRET="geheim",
    )
    assert finished.returncode == 4
    lines = finished.stderr.splitlines()
    assert lines[0].startswith("distill: notify.prometheus: ")
    assert lines[1] == (
        "distill: notify.webhook: 127.0.0.1 took no message: NewConnectionError; the message on 'stopped' is "
        "lost"
    )
    shown = finished.stdout + finished.stderr + "".join(map(str, _ticks(judged)))
    assert "geheim" not in shown
    assert "token" not in shown


def test_a_secret_that_is_not_there_is_missed_before_anything_begins(
    workspace: pathlib.Path, retrain_in: Callable[..., Any]
) -> None:
    finished = retrain_in(
        workspace,
        *("--set", "notify.webhook=http://127.0.0.1:9/", "--set", "notify.secret_env=NOT_SET_ANYWHERE"),
    )
    assert finished.returncode == 2
    assert "the environment variable NOT_SET_ANYWHERE is not set" in finished.stderr
    assert not workspace.exists()


def test_what_decides_a_run_decides_the_fingerprints(
    photos: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "mine.py"
    module.write_text("def network(image_shape, num_classes): ...\n")
    overrides = [_of(photos)[1], "student.architecture=mine:network"]
    before = take_fingerprints(load_config(DIGITS, overrides=overrides))
    assert take_fingerprints(load_config(DIGITS, overrides=overrides)) == before

    module.write_text("def network(image_shape, num_classes): return None\n")
    changed_code = take_fingerprints(load_config(DIGITS, overrides=overrides))
    assert changed_code.changed_since(before) == ["code"]

    shutil.copy(photos / "cat" / "1.png", photos / "dog" / "100.png")
    changed_data = take_fingerprints(load_config(DIGITS, overrides=overrides))
    assert changed_data.changed_since(changed_code) == ["data"]

    changed_settings = take_fingerprints(load_config(DIGITS, overrides=[*overrides, "push.keep=3"]))
    assert changed_settings.changed_since(changed_data) == ["configuration"]
