"""A pool of workers, asked by what stands for a runner."""

import contextlib
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)

_SECONDS = 60.0
_WORKER = "1-1"


class Runner(
    beam_fn_api_pb2_grpc.BeamFnControlServicer,
    beam_fn_api_pb2_grpc.BeamFnLoggingServicer,
    beam_provision_api_pb2_grpc.ProvisionServiceServicer,
):
    """Takes one worker, and has no work for it."""

    def __init__(self, pool: str) -> None:
        self.has_worker, self.lost_worker = threading.Event(), threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor())
        beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(self, self._server)
        beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(self, self._server)
        beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(self, self._server)
        self.url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._channel = grpc.insecure_channel(pool, options=[("grpc.use_local_subchannel_pool", 1)])
        self._pool = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(self._channel)

    def __enter__(self) -> "Runner":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._server.stop(None)

    def start_worker(self, *, provision_endpoint: str | None = None) -> str:
        """Asks the pool for a worker; returns what went wrong."""
        endpoint = endpoints_pb2.ApiServiceDescriptor(url=provision_endpoint or self.url)
        request = beam_fn_api_pb2.StartWorkerRequest(worker_id=_WORKER, provision_endpoint=endpoint)
        return self._pool.StartWorker(request, timeout=_SECONDS).error

    def stop_worker(self) -> None:
        self._pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=_WORKER), timeout=_SECONDS)

    def GetProvisionInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        endpoint = endpoints_pb2.ApiServiceDescriptor(url=self.url)
        info = beam_provision_api_pb2.ProvisionInfo(control_endpoint=endpoint, logging_endpoint=endpoint)
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)

    def Control(self, request_iterator: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.has_worker.set()
        context.add_callback(self.lost_worker.set)
        self.lost_worker.wait()
        yield from ()

    def Logging(self, request_iterator: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for _ in request_iterator:
            pass
        yield from ()


@contextlib.contextmanager
def running_pool(port: str = "0") -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "components.beam_workers.pool", "--host", "127.0.0.1", "--port", port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def pool() -> Iterator[str]:
    """The address of a pool."""
    with running_pool() as (_, address):
        yield address


def test_a_worker_that_does_not_reach_its_runner_is_told(pool: str) -> None:
    with Runner(pool) as runner:
        assert "UNAVAILABLE" in runner.start_worker(provision_endpoint="127.0.0.1:1")


def test_each_runner_stops_its_own_worker_though_all_number_them_alike(pool: str) -> None:
    with Runner(pool) as one, Runner(pool) as other:
        assert [one.start_worker(), other.start_worker()] == ["", ""]
        assert one.has_worker.wait(_SECONDS)
        assert other.has_worker.wait(_SECONDS)

        one.stop_worker()

        assert one.lost_worker.wait(_SECONDS)
        assert not other.lost_worker.is_set()
        other.stop_worker()
        assert other.lost_worker.wait(_SECONDS)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_pool(how: signal.Signals) -> None:
    with running_pool() as (process, address), Runner(address) as runner:
        assert runner.start_worker() == ""
        assert runner.has_worker.wait(_SECONDS)

        process.send_signal(how)

        assert runner.lost_worker.wait(_SECONDS)
        process.wait(_SECONDS)


@pytest.mark.long
def test_what_workers_leave_ends_with_their_pool_or_with_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running_pool() as (process, address), Runner(address) as runner:
        assert runner.start_worker() == ""
        (left,) = tmp_path.glob("distill-workers-*/*")
        process.kill()
        assert runner.lost_worker.wait(_SECONDS)
    assert left.is_dir()

    with running_pool(address.rpartition(":")[2]) as (process, address), Runner(address) as runner:
        assert not left.exists()
        assert runner.start_worker() == ""
        runner.stop_worker()
        assert list(tmp_path.glob("distill-workers-*/*")) == []
        assert runner.start_worker() == ""
        assert len(list(tmp_path.glob("distill-workers-*/*"))) == 1
        process.terminate()
        process.wait(_SECONDS)
    assert list(tmp_path.glob("distill-workers-*")) == []
