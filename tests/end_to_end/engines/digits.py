"""The digits on a Flink cluster: a run of them that can be caught in the middle, and what it leaves."""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Sequence

import pytest
from cluster import Cluster, Part
from command_line import REPOSITORY, command

DIGITS = REPOSITORY / "configs" / "digits.yaml"
QUICK = [
    *("--set", "teacher.epochs=2", "--set", "student.epochs=1"),
    *("--set", "evaluation.min_accuracy=0.05"),
]
# In the order in which they run, each with one job.
ON_BEAM = ["ExampleGen", "StatisticsGen", "Transform", "TeacherPredictions", "Evaluator"]
_SECONDS_TO_REACH_A_NODE = 600.0


class Run(Part):
    """`distill run` on a cluster, with whatever of its workspace is in the cache."""

    def __init__(self, cluster: Cluster, workspace: pathlib.Path, *options: str) -> None:
        self._cluster = cluster
        self._before = cluster["jobmanager"].said
        arguments = ["run", DIGITS, "--workspace", workspace, *QUICK, *options, *cluster.options]
        super().__init__(
            f"run-in-{workspace.name}",
            command(*arguments),
            ready="Starting TFX",
            directory=workspace.parent,
        )

    def wait_until_at_work(self, node: str, *, on: Sequence[str]) -> None:
        """Waits until a node has Python workers at work on some TaskManagers."""
        self.wait_for(f"{node}: running", seconds=_SECONDS_TO_REACH_A_NODE)
        submitted = self._cluster["jobmanager"].wait_for(
            "Received JobGraph submission", count=self._count_jobs(), after=self._before
        )
        job = submitted.rpartition("(")[2].partition(")")[0]
        for name in on:
            place = self._cluster[name].wait_for_place(f"for job {job}")
            self._cluster[name].wait_for("Beam Fn Data client connected", after=place)

    def wait_until_completed(self, node: str) -> None:
        """Waits until a node says that it has done its work."""
        self.wait_for(f"{node}: completed", seconds=_SECONDS_TO_REACH_A_NODE)

    def _count_jobs(self) -> int:
        """Returns how many jobs there are with that of the node that runs; the first tries the cluster."""
        started = [node for node in ON_BEAM if self.has_said(f"{node}: running")]
        return 1 + sum(not self.has_said(f"{node}: cached") for node in started)


@contextlib.contextmanager
def running(cluster: Cluster, workspace: pathlib.Path, *options: str) -> Iterator[Run]:
    """Has a run go on within a context at most."""
    run = Run(cluster, workspace, *options)
    try:
        yield run
    finally:
        run.kill()


def assert_same_metrics(before: pathlib.Path, after: pathlib.Path) -> None:
    """Compares what two workspaces say of the models."""
    models, others = (json.loads((each / "summary.json").read_text())["models"] for each in (before, after))
    assert set(models) == set(others) == {"teacher", "scratch", "distilled"}
    for name, model in models.items():
        assert others[name]["accuracy"] == model["accuracy"]
        assert others[name]["cross_entropy"] == pytest.approx(model["cross_entropy"], rel=1e-6)


def contents(workspace: pathlib.Path, artifact: str) -> dict[pathlib.PurePath, bytes]:
    """Returns all files of an artifact, of which there is one."""
    (directory,) = (workspace / "artifacts" / artifact).glob("[0-9]*")
    return {file.relative_to(directory): file.read_bytes() for file in directory.rglob("*") if file.is_file()}
