"""The acceptance run on a live Kubeflow Pipelines: `make kubeflow-check HOST=URL`; skipped without a host."""

import dataclasses
import os
import pathlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))  # For what cleans up.

from cleaning import clean_up

from pipeline.kubeflow.server.connection import connect
from pipeline.kubeflow.server.credentials import read_credentials

REPOSITORY = pathlib.Path(__file__).parents[2]
CONFIG = "configs/digits.yaml"
# Small enough for a cluster without GPUs; what is not set here is as a user has it.
SMALL = {
    "kubeflow.training_nodes.gpus": "0",
    "kubeflow.every_node.cpu": "'1'",
    "kubeflow.training_nodes.cpu": "'1'",
    "kubeflow.every_node.memory": "3Gi",
    "kubeflow.training_nodes.memory": "3Gi",
    "teacher.epochs": "3",
    "student.epochs": "3",
    "evaluation.min_accuracy": "0.1",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kubeflow")
    group.addoption("--kubeflow-host", metavar="URL", help="The server; the tests make things on it.")
    group.addoption("--kubeflow-image", metavar="IMAGE", help="The image of the nodes.")
    group.addoption("--kubeflow-namespace", metavar="NAME", help="Yours, on a server with several users.")
    group.addoption("--kubeflow-ca-file", metavar="FILE", help="Certificates of who signed the server's.")


@dataclasses.dataclass(frozen=True)
class Check:
    """One acceptance run: everything that it makes on the server bears its name."""

    name: str
    host: str
    image: str | None
    namespace: str | None
    ca_file: str | None
    workspace: pathlib.Path

    @property
    def settings(self) -> list[str]:
        pairs = SMALL | {"name": self.name}
        return [part for key, value in pairs.items() for part in ("--set", f"{key}={value}")]

    def distill(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on the server as a user would, and prints what it printed."""
        options = ["--host", self.host]
        if self.namespace:
            options += ["--namespace", self.namespace]
        if self.ca_file:
            options += ["--ca-file", self.ca_file]
        if self.image and command in ("upload", "submit", "schedule"):
            options += ["--image", self.image]
        return self._run(command, *arguments, *options)

    def run_here(self) -> subprocess.CompletedProcess[str]:
        """Runs the same experiment on this machine."""
        return self._run("run", CONFIG, *self.settings, "--workspace", str(self.workspace))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline", *arguments]
        result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        print(f"$ distill {' '.join(arguments)}\n{result.stdout}{result.stderr}")
        return result


@pytest.fixture(scope="session")
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Check]:
    host = request.config.getoption("--kubeflow-host", default=None)
    if not host:
        pytest.skip("needs a live Kubeflow Pipelines: make kubeflow-check HOST=URL")
    namespace = request.config.getoption("--kubeflow-namespace")
    ca_file = request.config.getoption("--kubeflow-ca-file")
    made = Check(
        name=f"distill-check-{secrets.token_hex(4)}",
        host=host,
        image=request.config.getoption("--kubeflow-image"),
        namespace=namespace,
        ca_file=ca_file,
        workspace=tmp_path_factory.mktemp("local"),
    )
    token_file = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    credentials = read_credentials(
        token_file=pathlib.Path(token_file) if token_file else None,
        cookies_file=None,
        ca_file=pathlib.Path(ca_file) if ca_file else None,
        environment=os.environ,
    )
    server = connect(host, credentials=credentials, namespace=namespace)
    yield made
    left = clean_up(server, made.name)
    assert not left, f"still on the server: {'; '.join(left)}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--kubeflow-host", default=None):
        return
    terminalreporter.section(f"Kubeflow Pipelines at {config.getoption('--kubeflow-host')}")
    reports = [report for found in terminalreporter.stats.values() for report in found]
    rows: dict[str, list[pytest.TestReport]] = {}
    for report in reports:
        if isinstance(report, pytest.TestReport):
            what = report.nodeid.rpartition("::test_")[2].replace("_", " ")
            rows.setdefault("cleaning up" if report.when == "teardown" else what, []).append(report)
    for what, phases in rows.items():
        outcomes = {phase.outcome for phase in phases}
        held = "NOT held" if "failed" in outcomes else "not tried" if "skipped" in outcomes else "held"
        seconds = sum(phase.duration for phase in phases)
        terminalreporter.write_line(f"{held:10} {seconds:6.0f} s  {what}")
