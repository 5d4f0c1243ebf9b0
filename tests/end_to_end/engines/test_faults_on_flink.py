"""Parts of a Flink cluster that are lost in the middle of a node: what the user sees, and what comes then."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cluster import Cluster
from command_line import distill
from digits import DIGITS, Run, assert_same_metrics, contents, running

pytestmark = pytest.mark.flink

_SECONDS_TO_TELL = 120.0
_SECONDS_TO_FINISH = 600.0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """That of all runs here: each finds what those before it have left."""
    return tmp_path_factory.mktemp("faults")


@pytest.mark.parametrize(
    ("lost", "named"),
    [(["jobmanager"], "its JobManager"), (["taskmanager-1", "taskmanager-2"], "its TaskManagers")],
)
def test_what_is_lost_during_the_first_node_is_told_in_one_sentence(
    lost: list[str], named: str, workspace: pathlib.Path, cluster: Any
) -> None:
    with running(cluster, workspace) as run:
        _assert_told(named, run=run, cluster=cluster, during="ExampleGen", lost=lost)


def test_the_same_command_goes_on_though_task_managers_and_workers_are_lost(
    workspace: pathlib.Path, cluster: Any
) -> None:
    """After all that was lost before."""
    with running(cluster, workspace) as run:
        before = cluster["jobmanager"].said
        with _goes_on(run, cluster, during="ExampleGen", on="taskmanager-2"):
            cluster["taskmanager-2"].kill()
        # The nodes that follow may have done their work before the loss is noticed.
        assert cluster["jobmanager"].has_said("RUNNING to RESTARTING", after=before)
        cluster.start("taskmanager-2")
        with _goes_on(run, cluster, during="Transform", on="taskmanager-1"):
            cluster.kill_workers()
        with _goes_on(run, cluster, during="TeacherPredictions", on="taskmanager-1"):
            cluster["taskmanager-1"].kill()
    cluster.start("taskmanager-1")


@pytest.mark.parametrize(
    ("lost", "named"), [("pool", "its Python workers"), ("job-server", "its job server")]
)
def test_what_is_lost_during_the_evaluator_is_told_in_one_sentence(
    lost: str, named: str, workspace: pathlib.Path, cluster: Any
) -> None:
    with running(cluster, workspace) as run:
        _assert_told(named, run=run, cluster=cluster, during="Evaluator", lost=[lost])

    assert not list(workspace.glob("artifacts/Evaluator/evaluation/*/evaluation.json"))


def test_the_same_command_then_leaves_what_a_run_leaves_that_loses_nothing(
    alone: pathlib.Path, workspace: pathlib.Path, cluster: Any
) -> None:
    """Though a TaskManager is lost, with which several parts of the Evaluator's job fail at once."""
    with running(cluster, workspace) as run:
        with _goes_on(run, cluster, during="Evaluator", on="taskmanager-2"):
            cluster["taskmanager-2"].kill()
        cluster.start("taskmanager-2")
        status, output = run.wait_for_end(seconds=_SECONDS_TO_FINISH)

    assert status == 0, output
    assert "TeacherPredictions: cached" in output
    for artifact in ("ExampleGen/examples", "Transform/transformed_examples"):
        assert contents(workspace, artifact) == contents(alone, artifact)
    assert_same_metrics(alone, workspace)


def test_more_parts_than_slots_are_refused_at_once(workspace: pathlib.Path, cluster: Any) -> None:
    options = [*cluster.options, "--set", "beam.flink.parallelism=9"]
    result = distill("run", DIGITS, "--workspace", workspace, *options)

    assert result.returncode == 2
    assert "beam.flink.parallelism: 9 parts need as many slots" in result.stderr
    assert "has 4; lower it, or start more TaskManagers" in result.stderr


def test_a_pool_that_is_missing_is_told_before_anything_runs(workspace: pathlib.Path, cluster: Any) -> None:
    cluster["pool"].kill()
    try:
        result = distill("run", DIGITS, "--workspace", workspace, "--set", "seed=2", *cluster.options)
    finally:
        cluster.start("pool")

    (told,) = result.stderr.splitlines()
    assert told.startswith("distill: beam: a first small job on flink did not reach its Python workers (")


def _assert_told(named: str, *, run: Run, cluster: Cluster, during: str, lost: Sequence[str]) -> None:
    """Loses parts while a node is at work, and starts them again once the run has ended."""
    run.wait_until_at_work(during, on=cluster.task_managers)
    for part in lost:
        cluster[part].kill()
    try:
        status, output = run.wait_for_end(seconds=_SECONDS_TO_TELL)
    finally:
        cluster.start(*lost)

    assert status == 1
    told = [line for line in output.splitlines() if line.startswith("distill: ")]
    assert len(told) == 1
    assert told[0].startswith(f"distill: beam: flink lost {named} in the middle of a job (")
    assert "run the same command again" in told[0]
    assert not [sign for sign in ("Traceback", "Stream removed", "internal error") if sign in output]


@contextlib.contextmanager
def _goes_on(run: Run, cluster: Cluster, *, during: str, on: str) -> Iterator[None]:
    """Has something lost in the context, while a node is at work that completes all the same."""
    run.wait_until_at_work(during, on=[on])
    yield
    run.wait_until_completed(during)
