"""What is left of the runs of a small TFX pipeline, and what then comes from the cache."""

import collections
import contextlib
import datetime
import json
import pathlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest

from components.errors import InputError
from components.serving.versions import Origin, Versions
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config
from pipeline.local.background import NodeError
from pipeline.local.retention import Pruned, prune
from pipeline.local.workspace import Workspace, WorkspaceBusyError, locked, open_workspace
from pipeline.metadata.database import PASSWORD_VARIABLE

HERE = pathlib.Path(__file__).parent
DIGITS = HERE.parents[2] / "configs" / "digits.yaml"
FRESH = {"Trainer": "completed", "Pusher": "completed"}
CACHED = {"Trainer": "cached", "Pusher": "cached"}
WRITTEN_ONCE = ("Type", "TypeProperty", "ParentType", "MLMDEnv", "sqlite_sequence")

Run = Callable[..., dict[str, str]]

# Kills itself when it comes to a statement of SQL, or to the second file that it removes.
KILLED = """
import os, pathlib, signal, sqlite3, sys
from pipeline.config.loading import load_config
from pipeline.local.retention import prune
from pipeline.local.workspace import Workspace

config, workspace, moment = sys.argv[1:]
removed = []

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def connect(path, connect=sqlite3.connect):
    connection = connect(path)
    connection.set_trace_callback(lambda statement: die() if statement.startswith(moment) else None)
    return connection

def watch(event, arguments):
    if event == "os.remove":
        removed.append(arguments[0])
        if moment == "second file" and len(removed) == 2:
            die()

sys.addaudithook(watch)
sqlite3.connect = connect
keeping = load_config(pathlib.Path(config), overrides=["retention.runs=1"])
prune(keeping, workspace=Workspace(pathlib.Path(workspace)))
"""


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the example pipeline; returns what became of its nodes."""
    monkeypatch.syspath_prepend(HERE)
    import example_runs

    def run_(weights: str, **settings: str) -> dict[str, str]:
        return example_runs.run(workspace, weights=weights, **settings)

    return run_


def keeping(runs: int | None = None, *, days: int | None = None) -> Config:
    retention = json.dumps({"runs": runs, "days": days})
    return load_config(DIGITS, overrides=[f"retention={retention}"])


def artifacts(workspace: Workspace) -> pathlib.Path:
    return pathlib.Path(workspace.artifacts)


def models(workspace: Workspace) -> list[str]:
    """The weights of the models that are there, the oldest first."""
    directories = sorted(artifacts(workspace).glob("Trainer/model/*"), key=lambda path: int(path.name))
    assert all((path / "b").read_text() == (path / "a").read_text() for path in directories)
    return [(path / "a").read_text() for path in directories]


def rows(workspace: Workspace) -> collections.Counter[str]:
    """How many rows each table of ML Metadata holds, but for those that are written once."""
    with contextlib.closing(sqlite3.connect(workspace.database.path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return collections.Counter(
            {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for name in names
                if name not in WRITTEN_ONCE
            }
        )


def run_ids(workspace: Workspace) -> list[str]:
    with contextlib.closing(sqlite3.connect(workspace.database.path)) as connection:
        found = connection.execute(
            "SELECT Context.name FROM Context JOIN Type ON Type.id = type_id"
            " WHERE Type.name = 'pipeline_run' ORDER BY Context.id"
        )
        return [name for (name,) in found]


def test_the_newest_runs_stay_with_all_that_they_took_from_the_cache(run, workspace):
    for weights in ("one", "two", "one", "three"):
        run(weights)
    before = prune(keeping(2), workspace=workspace, dry_run=True)
    assert models(workspace) == ["one", "two", "three"]

    # Of run two: a model of 2 files of 3 bytes, and a file with the path of the model.
    path = artifacts(workspace) / "Trainer" / "model" / "3"
    assert before == Pruned(runs=2, runs_left=2, size_bytes=6 + len(str(path)))
    assert prune(keeping(2), workspace=workspace) == before
    assert models(workspace) == ["one", "three"]
    assert len(run_ids(workspace)) == 2
    assert [path.name for path in artifacts(workspace).glob("Trainer/.system/executor_execution/*")] == ["7"]

    assert run("one") == CACHED
    assert run("two") == FRESH
    assert models(workspace) == ["one", "three", "two"]
    assert prune(keeping(4), workspace=workspace) == Pruned(runs=0, runs_left=4, size_bytes=0)


def test_neither_disk_nor_metadata_grow_with_the_number_of_runs(run, workspace):
    sizes = []
    for number in range(6):
        run(str(number))
        prune(keeping(2), workspace=workspace)
        sizes.append((rows(workspace), len(models(workspace))))
    assert sizes[1] == sizes[2] == sizes[5]
    kept = ["\n==== 4\n", "\n==== 5\n"]
    assert workspace.log.read_text() == "".join(kept)


def test_what_no_run_has_left_is_removed_and_checkpoints_are_not(run, workspace):
    run("one")
    torn = artifacts(workspace) / "Trainer" / "model" / "999"
    checkpoint = artifacts(workspace) / "Trainer" / ".checkpoints" / "1"
    for directory in (torn, checkpoint):
        directory.mkdir(parents=True)
        (directory / "file").write_bytes(bytes(1000))
    assert prune(keeping(1), workspace=workspace) == Pruned(runs=0, runs_left=1, size_bytes=1000)
    assert not torn.exists()
    assert (checkpoint / "file").exists()
    assert run("one") == CACHED


def test_what_ships_stays_and_what_it_would_fall_back_to(run, workspace, tmp_path):
    for weights in ("one", "two", "three", "four", "five"):
        run(weights)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    versions = Versions(tmp_path / "pushed")
    for made_by in run_ids(workspace)[:3]:
        versions.push(tmp_path / "saved", origin=Origin(reason="", run=made_by))
    assert prune(keeping(1), workspace=workspace).runs_left == 3
    assert models(workspace) == ["two", "three", "five"]

    versions.roll_back(to=None, reason="")
    assert prune(keeping(1), workspace=workspace).runs_left == 2
    assert models(workspace) == ["two", "five"]


def test_the_last_run_that_finished_stays_and_the_newest_that_may_go_on(run, workspace):
    run("one")
    run("two")
    for weights in ("three", "four"):
        with pytest.raises(NodeError):
            run(weights, fault="disk full")
    prune(keeping(1), workspace=workspace)
    assert models(workspace) == ["two", "four"]
    assert run("four") == {"Trainer": "cached", "Pusher": "completed"}
    assert run("two") == CACHED


def test_old_runs_go_by_their_age(run, workspace):
    for weights in ("one", "two", "three"):
        run(weights)
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=8)
    with contextlib.closing(sqlite3.connect(workspace.database.path)) as connection:
        connection.execute(
            "UPDATE Context SET create_time_since_epoch = ? WHERE name IN (?, ?)",
            (int(long_ago.timestamp() * 1000), *run_ids(workspace)[:2]),
        )
        connection.commit()
    assert prune(keeping(days=9), workspace=workspace).runs == 0
    assert prune(keeping(days=7), workspace=workspace).runs == 2
    assert models(workspace) == ["three"]


def test_other_experiments_in_the_workspace_are_left_alone(run, workspace):
    run("one", name="other")
    run("one")
    run("two")
    prune(keeping(1), workspace=workspace)
    assert models(workspace) == ["one", "two"]
    assert run("one", name="other") == CACHED


@pytest.mark.parametrize(
    ("moment", "states"),
    [
        ("DELETE FROM Artifact WHERE", CACHED),
        ("DELETE FROM Context WHERE", CACHED),
        ("COMMIT", CACHED),
        ("VACUUM", FRESH),
        ("second file", FRESH),
    ],
)
def test_a_kill_leaves_nothing_that_is_taken_for_whole(moment, states, run, workspace):
    for weights in ("one", "two", "three"):
        run(weights)
    command = [sys.executable, "-c", KILLED, str(DIGITS), str(workspace.directory), moment]
    killed = subprocess.run(command, cwd=HERE.parents[2], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    assert run("one") == states
    prune(keeping(1), workspace=workspace)
    assert models(workspace) == ["one"]
    assert run("one") == CACHED


def test_workspaces_of_one_experiment_share_a_database_of_mariadb(mariadb, monkeypatch, tmp_path, caplog):
    monkeypatch.syspath_prepend(HERE)
    import example_runs

    config = load_config(DIGITS, overrides=[f"metadata={mariadb.create('shared')}"])
    environment = {PASSWORD_VARIABLE: mariadb.password}
    one, two = (
        open_workspace(config, directory=tmp_path / name, environment=environment) for name in ("one", "two")
    )
    caplog.set_level("INFO")
    assert [example_runs.run(one, weights=each) for each in ("one", "two", "three")] == [FRESH] * 3
    assert [example_runs.run(two, weights="one") for _ in range(2)] == [FRESH, CACHED]
    path = artifacts(one) / "Trainer" / "model" / "1"
    assert prune(keeping(1), workspace=one) == Pruned(
        runs=2, runs_left=1, size_bytes=2 * (6 + len(str(path)))
    )

    assert (models(one), models(two)) == (["three"], ["one"])
    assert example_runs.run(one, weights="three") == CACHED
    assert example_runs.run(two, weights="one") == CACHED
    assert "Using connection config" in caplog.text
    assert "hush-hush" not in caplog.text


def test_a_workspace_in_use_is_left_alone(run, workspace):
    run("one")
    with locked(workspace), pytest.raises(WorkspaceBusyError):
        prune(keeping(1), workspace=workspace)


def test_tables_of_another_version_are_left_alone(run, workspace):
    run("one")
    run("two")
    with contextlib.closing(sqlite3.connect(workspace.database.path)) as connection:
        connection.execute("UPDATE MLMDEnv SET schema_version = 11")
        connection.commit()
    with pytest.raises(InputError, match="has schema version 11, but only 10 can be pruned; nothing"):
        prune(keeping(1), workspace=workspace)
    assert models(workspace) == ["one", "two"]


def test_a_damaged_file_is_named(workspace):
    artifacts(workspace).mkdir()
    workspace.database.path.write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match=r"metadata\.sqlite cannot be pruned \(file is not a database\)"):
        prune(keeping(1), workspace=workspace)


def test_the_command_says_what_it_would_remove_and_what_it_has(run, workspace, distill):
    def prune_(*options: str) -> tuple[int, str]:
        done = distill("prune", DIGITS, "--workspace", workspace.directory, *options)
        return done.returncode, (done.stdout + done.stderr).replace("\N{NO-BREAK SPACE}", " ")

    code, said = prune_()
    assert (code, said) == (
        2,
        f"distill: {workspace.directory} holds no run of 'digits'; give its --workspace.\n",
    )
    for number in range(3):
        run(str(number))
    assert prune_() == (0, "Nothing to remove: 3 runs left.\n")
    only = ("--set", "retention.runs=1")
    size = 2 * (2 + len(str(artifacts(workspace) / "Trainer" / "model" / "1")))
    sentence = f"2 runs and {size} bytes of artifacts; 1 run left.\n"
    assert prune_(*only, "--dry-run") == (0, f"Would remove {sentence}")
    assert prune_(*only) == (0, f"Removed {sentence}")
    with locked(workspace):
        code, said = prune_(*only)
    assert code == 75
    assert "Another run is using the workspace" in said
