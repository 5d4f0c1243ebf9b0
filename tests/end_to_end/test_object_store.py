"""Runs whose artifacts, data and pushed students are in an object store, which goes away and comes back."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pytest
from command_line import distill, start, states
from PIL import Image

from components.storage import files
from components.storage.copies import upload

SECONDS_AWAY = 30


class Server(Protocol):
    """A server of Amazon's S3."""

    def start(self) -> None:
        """Starts it, with all that it held before."""

    def stop(self) -> None:
        """Ends it at once."""


class Minio:
    """A real one; see CONTRIBUTING.md for how to install it."""

    def __init__(self, program: str, directory: pathlib.Path, port: int) -> None:
        self._command = [program, "server", str(directory), f"--address=127.0.0.1:{port}", "--quiet"]
        self._port = port
        (directory / "lake").mkdir(parents=True)

    def start(self) -> None:
        environment = {"MINIO_ROOT_USER": "somebody", "MINIO_ROOT_PASSWORD": "secretsecret", "PATH": "/bin"}
        self._process = subprocess.Popen(self._command, env=environment, stdout=subprocess.DEVNULL)
        _wait_for(f"http://127.0.0.1:{self._port}/minio/health/ready")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Moto:
    """A server in this process, which holds its buckets when it is stopped."""

    def __init__(self, port: int) -> None:
        self._port = port

    def start(self) -> None:
        import moto.server

        self._server = moto.server.ThreadedMotoServer("127.0.0.1", port=self._port)
        self._server.start()
        bucket = f"http://127.0.0.1:{self._port}/lake"
        urllib.request.urlopen(urllib.request.Request(bucket, method="PUT")).close()

    def stop(self) -> None:
        self._server.stop()


def _wait_for(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = shutil.which("minio")
    made: Server = Minio(program, tmp_path / "minio", port) if program else Moto(port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secretsecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """The digits of scikit-learn as a folder of class folders."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = tmp_path / "digits" / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(path)
    return tmp_path / "digits"


def settings(images: pathlib.Path, *more: str) -> list[object]:
    """Returns the configuration that is proposed for some images, and what makes its run short."""
    config = images.with_suffix(".yaml")
    proposed = distill("init", images, "--output", config, "--force")
    assert proposed.returncode == 0, proposed.stderr
    given = [
        "data.labelled_fraction=0.3",
        "teacher.epochs=2",
        "student.epochs=2",
        "evaluation={min_accuracy: 0, against_scratch: any}",
        *more,
    ]
    return [config, *(argument for each in given for argument in ("--set", each))]


def in_the_lake(images: pathlib.Path) -> list[object]:
    upload(images, "s3://lake/digits")
    return settings(
        images,
        "data.path=s3://lake/digits",
        "pipeline_root=s3://lake/pipelines",
        "push.directory=s3://lake/students",
    )


def run(workspace: pathlib.Path, arguments: list[object]) -> dict[str, Any]:
    result = distill("run", *arguments, "--workspace", workspace)
    assert result.returncode == 0, result.stdout + result.stderr + (workspace / "run.log").read_text()[-5000:]
    return json.loads((workspace / "summary.json").read_text())


def measured(summary: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on where and how fast it ran, nor on how long the names in a SavedModel are."""
    models = {
        name: {
            key: value
            for key, value in model.items()
            if key not in ("latency_ms", "throughput", "size_bytes")
        }
        for name, model in summary["models"].items()
    }
    return {"models": models, "data": summary["data"], "verdict": summary["blessed"]}


@pytest.mark.long
def test_a_run_in_a_bucket_is_as_one_here_and_leaves_nothing_else_here(
    server: Server, images: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    arguments = in_the_lake(images)
    first = run(tmp_path / "there", arguments)
    assert set(states(first).values()) == {"completed"}
    assert {each["uri"].rpartition("-")[0] for each in first["lineage"]}
    assert all(each["uri"].startswith("s3://lake/pipelines/there-") for each in first["lineage"])

    second = run(tmp_path / "there", arguments)
    assert set(states(second).values()) == {"cached"}
    assert second["lineage"] == first["lineage"]
    assert measured(second) == measured(first)
    assert measured(run(tmp_path / "here", settings(images))) == measured(first)

    version = first["pushed_model"].removeprefix("s3://lake/students/")
    assert files.is_file(f"s3://lake/students/{version}/saved_model.pb")
    assert list(temporary.iterdir()) == []
    kept = {path.name for path in (tmp_path / "there").iterdir()}
    assert kept == {
        *(".lock", "checkpoints", "metadata.sqlite", "report.html", "root.json", "run.log", "summary.json")
    }
    pruned = distill("prune", *arguments, "--workspace", tmp_path / "there")
    assert pruned.stdout == "Nothing to remove: 2 runs left.\n"


@pytest.mark.long
@pytest.mark.parametrize("node", ["Scratch", "StatisticsGen"])
def test_a_run_outlasts_a_server_that_is_away_or_ends_with_a_sentence(
    server: Server, images: pathlib.Path, tmp_path: pathlib.Path, node: str
) -> None:
    """What trains waits for it; Beam's file systems, by which statistics are made, do not."""
    arguments = in_the_lake(images)
    process = start("run", *arguments, "--workspace", tmp_path / "there")
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line == f"{node}: running\n":
            server.stop()
            threading.Timer(SECONDS_AWAY, server.start).start()
    if process.wait():
        assert re.search(rf"\ndistill: {node} was interrupted: s3://lake/pipelines cannot be used", printed)
        assert process.returncode == 1
        _wait_for_restart()
    assert "internal error" not in printed

    last = run(tmp_path / "there", arguments)
    assert states(last)["ExampleGen"] == "cached"
    assert files.is_file(f"{last['pushed_model']}/saved_model.pb")


def _wait_for_restart() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
