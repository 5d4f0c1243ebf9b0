"""The first small job, on Beam's own portable job service, with workers in processes of their own."""

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from components.errors import InputError
from pipeline.beam.probe import probe

JOB_SERVICE = ("--runner=PortableRunner", "--job_endpoint=embed")
# Workers of a pool that is a process of its own, as one beside a TaskManager is.
POOL = """
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
address, server = BeamFnExternalWorkerPoolServicer.start()
print(address, flush=True)
server.wait_for_termination()
"""
WITHOUT_PROJECT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "pipeline":
            raise ModuleNotFoundError("No module named 'pipeline'", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture
def pool(tmp_path: pathlib.Path) -> Iterator[Callable[[], str]]:
    """Starts a pool whose interpreter looks into `tmp_path / "path"` first; returns its address."""
    processes: list[subprocess.Popen[str]] = []

    def start() -> str:
        process = subprocess.Popen(
            [sys.executable, "-c", POOL],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "path")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.wait()


def put(path: pathlib.Path, content: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(content)


def ask(address: str, *, root: pathlib.Path, seconds: int = 60) -> None:
    """Has a worker of a pool answer."""
    args = (*JOB_SERVICE, "--environment_type=EXTERNAL", f"--environment_config={address}")
    probe(args, engine="flink", root=str(root), seconds=seconds)


def test_workers_of_this_project_answer_and_nothing_is_left(pool, tmp_path):
    root = tmp_path / "artifacts"
    root.mkdir()
    ask(pool(), root=root)
    assert list(root.iterdir()) == []


def test_workers_without_this_project(pool, tmp_path):
    put(tmp_path / "path" / "sitecustomize.py", WITHOUT_PROJECT)
    with pytest.raises(InputError, match=r"the workers of flink lack this project .* no module 'pipeline'"):
        ask(pool(), root=tmp_path)


def test_workers_with_another_version_of_a_package(pool, tmp_path):
    put(tmp_path / "path" / "keras-3.0.0.dist-info" / "METADATA", "Name: keras\nVersion: 3.0.0\n")
    with pytest.raises(
        InputError, match=r"flink have keras 3\.0\.0, and this machine has 3\.15\.\d+; install"
    ):
        ask(pool(), root=tmp_path)


def test_workers_that_cannot_read_where_the_artifacts_go(pool, tmp_path):
    """They see another folder at the same place, as where nothing is mounted there."""
    put(
        tmp_path / "path" / "sitecustomize.py",
        "from apache_beam.io import localfilesystem\n"
        "localfilesystem.LocalFileSystem._path_open = lambda *_, **__: open('/nowhere')\n",
    )
    with pytest.raises(InputError, match="the workers of flink cannot read what this machine writes"):
        ask(pool(), root=tmp_path)


def test_a_job_server_that_takes_no_job(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        args = ("--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(InputError, match="no job server of flink has taken a first small job within 2 s"):
            probe(args, engine="flink", root=str(tmp_path), seconds=2)


def test_workers_that_never_answer(pool, tmp_path):
    put(
        tmp_path / "path" / "sitecustomize.py",
        "from apache_beam.runners.worker import sdk_worker_main\n"
        "import threading\n"
        "sdk_worker_main.SdkHarness.run = lambda self: threading.Event().wait()\n",
    )
    with pytest.raises(InputError, match="no worker of flink has answered within 3 s"):
        ask(pool(), root=tmp_path, seconds=3)
