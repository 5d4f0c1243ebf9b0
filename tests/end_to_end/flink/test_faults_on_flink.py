"""Parts of a Flink cluster that are lost in the middle of a node: what the user sees, and what comes then."""

import pathlib
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import REPOSITORY, distill, start

pytestmark = pytest.mark.flink

_DIGITS = REPOSITORY / "configs" / "digits.yaml"
_SECONDS_TO_TELL = 120.0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture
def in_the_middle(workspace: pathlib.Path, cluster: Any) -> Iterator["subprocess.Popen[str]"]:
    """A run whose ExampleGen is at work on both TaskManagers."""
    mark = cluster["jobmanager"].said
    with start("run", _DIGITS, "--workspace", workspace, *cluster.options) as process:
        try:
            # The first job is the one that tries the cluster.
            cluster["jobmanager"].wait_for("Received JobGraph submission", count=2, after=mark)
            marks = {name: cluster[name].said for name in ("taskmanager-1", "taskmanager-2")}
            for name, mark in marks.items():
                cluster[name].wait_for("Beam Fn Data client connected", after=mark)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (["job-server"], "its job server"),
        (["pool"], "its Python workers"),
        (["jobmanager"], "its JobManager"),
        (["taskmanager-1", "taskmanager-2"], "its TaskManagers"),
    ],
)
def test_what_was_lost_is_told_in_one_sentence(
    lost: list[str], named: str, in_the_middle: "subprocess.Popen[str]", cluster: Any
) -> None:
    for part in lost:
        cluster[part].kill()
    try:
        output, _ = in_the_middle.communicate(timeout=_SECONDS_TO_TELL)
    finally:
        cluster.start(*lost)

    assert in_the_middle.returncode == 1
    told = [line for line in output.splitlines() if line.startswith("distill: ")]
    assert len(told) == 1
    assert told[0].startswith(f"distill: beam: flink lost {named} in the middle of a job (")
    assert "run the same command again" in told[0]
    assert not [sign for sign in ("Traceback", "Stream removed", "internal error") if sign in output]


def test_the_same_command_goes_on_though_a_task_manager_is_lost(
    in_the_middle: "subprocess.Popen[str]", cluster: Any
) -> None:
    """After all that was lost before."""
    mark = cluster["jobmanager"].said

    cluster["taskmanager-2"].kill()
    try:
        line = next(line for line in in_the_middle.stdout or () if line.startswith("ExampleGen: "))
        while "running" in line or "notes" in line:
            line = next(line for line in in_the_middle.stdout or () if line.startswith("ExampleGen: "))
    finally:
        cluster.start("taskmanager-2")

    assert line.startswith("ExampleGen: completed")
    cluster["jobmanager"].wait_for("switched from state RUNNING to RESTARTING", after=mark)
    in_the_middle.send_signal(signal.SIGINT)
    in_the_middle.communicate(timeout=_SECONDS_TO_TELL)


def test_more_parts_than_slots_are_refused_at_once(workspace: pathlib.Path, cluster: Any) -> None:
    options = [*cluster.options, "--set", "beam.flink.parallelism=9"]
    result = distill("run", _DIGITS, "--workspace", workspace, *options)

    assert result.returncode == 2
    assert "beam.flink.parallelism: 9 parts need as many slots" in result.stderr
    assert "has 4; lower it, or start more TaskManagers" in result.stderr


def test_a_pool_that_is_missing_is_told_before_anything_runs(workspace: pathlib.Path, cluster: Any) -> None:
    cluster["pool"].kill()
    try:
        result = distill("run", _DIGITS, "--workspace", workspace, "--set", "seed=2", *cluster.options)
    finally:
        cluster.start("pool")

    (told,) = result.stderr.splitlines()
    assert told.startswith("distill: beam: a first small job on flink did not reach its Python workers (")
