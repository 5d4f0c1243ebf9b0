"""What a worker does beside running Beam's harness."""

import os
import pathlib
import signal
import subprocess
import sys
import types

import boto3
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2

from components.beam_workers import boot


def test_a_worker_makes_its_client_of_s3_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        FileSystems.set_options(PipelineOptions([]))
        for number in range(3):
            with FileSystems.create(f"{bucket}/{number}") as file:
                file.write(bytes([number]))
            assert FileSystems.open(f"{bucket}/{number}").read() == bytes([number])

    made, make = [], boto3.session.Session.client
    monkeypatch.setattr(
        boto3.session.Session, "client", lambda self, **given: made.append(given) or make(self, **given)
    )
    harness = types.SimpleNamespace(run=run)
    monkeypatch.setattr(boot.sdk_worker_main, "create_harness", lambda environment: (None, harness, None))
    info = beam_provision_api_pb2.ProvisionInfo()
    monkeypatch.setattr(boot, "_provision", lambda worker_id, endpoint: info)
    monkeypatch.setattr(boot.os, "environ", dict(boot.os.environ))

    connected: list[bool] = []
    boot.run_worker("1-1", "localhost:1", connected=lambda: connected.append(True))
    assert connected == [True]
    assert len(made) == 1


def test_what_a_worker_has_copied_goes_when_its_runner_ends_it(tmp_path: pathlib.Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", COPYING],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "1-2 at localhost:1\n"
    assert list(tmp_path.glob("distill-*"))

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    assert not list(tmp_path.glob("distill-*"))


COPYING = """
import signal
from components.beam_workers import boot
from components.storage.copies import directory_of_process

def work(worker_id, provision_endpoint, *, connected):
    (directory_of_process() / "copy").touch()
    print(worker_id, "at", provision_endpoint, flush=True)
    signal.pause()

boot.run_worker = work
boot.main(["--id='1-2'", "--provision_endpoint=localhost:1"])  # As Prism has it.
"""
