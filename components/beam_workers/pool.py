"""A pool of Beam's workers: the service that a runner asks for them where its environment is EXTERNAL.

Each worker is a process of its own, forked from one that has imported TensorFlow and TFX, so that it starts
in no time. The runner is told of a worker that does not come up, and none outlives the pool.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent import futures
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from components.processes import follow_parent_into_death

# TFX first: it stands in for parts of tfx-bsl.
_IMPORTED_ONCE = [
    "tfx",
    "tensorflow",
    "components.beam_workers.boot",
    "components.example_gen.executor",
    "tfx.components.statistics_gen.executor",
    "components.transform.executor",
    "components.evaluator.executor",
    "components.teacher_predictions.executor",
]
_SECONDS_TO_CONNECT = 120.0
_SECONDS_TO_END = 5.0


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and stops workers as a runner asks for it.

    Args:
      directory: For what the workers leave for a while.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = str(directory)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_IMPORTED_ONCE)
        # By who asked for it, too: several runners may number their workers alike.
        self._workers: dict[tuple[str, str], BaseProcess] = {}

    def StartWorker(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Starts a worker, and answers when it has reached the runner, or with what kept it from that."""
        receiver, sender = self._context.Pipe(duplex=False)
        worker = self._context.Process(
            target=_worker_main,
            args=(request.worker_id, request.provision_endpoint.url, sender, self._directory),
            name=f"worker-{request.worker_id}",
            daemon=True,
        )
        worker.start()
        sender.close()
        with receiver:
            problem = _problem(worker, receiver)
        if problem:
            _end(worker)
        else:
            self._forget_the_dead()
            self._workers[context.peer(), request.worker_id] = worker
        return beam_fn_api_pb2.StartWorkerResponse(error=problem)

    def StopWorker(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Ends a worker, which does so by itself if its runner is gone."""
        worker = self._workers.pop((context.peer(), request.worker_id), None)
        if worker is not None:
            _end(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget_the_dead(self) -> None:
        """Lets go of workers that have ended by themselves, as they do when their runner is gone."""
        for key, worker in list(self._workers.items()):
            if not worker.is_alive():
                self._workers.pop(key, None)


@contextlib.contextmanager
def serving(host: str, port: int) -> Iterator[int]:
    """Serves a pool within a context.

    Args:
      host: The address at which to listen.
      port: At which port; 0 chooses a free one.

    Yields:
      The port.
    """
    # No other pool may listen there: where is in the name of the directory.
    server = grpc.server(futures.ThreadPoolExecutor(), options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port(f"{host}:{port}")
    pool = WorkerPool(_make_directory(f"{host}-{port}"))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def _make_directory(address: str) -> pathlib.Path:
    """Makes a directory that ends with this process, in the place of what a killed pool has left."""
    directory = pathlib.Path(tempfile.gettempdir(), f"distill-workers-{os.getuid()}-{address}")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    _remove_at_exit(directory, priority=-1)  # After the workers, which are ended at priority 0.
    return directory


def _remove_at_exit(directory: str | pathlib.Path, *, priority: int) -> None:
    Finalize(None, shutil.rmtree, args=(directory,), kwargs={"ignore_errors": True}, exitpriority=priority)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves a pool until a signal ends it."""
    parser = argparse.ArgumentParser(description="Serve Python workers to a runner of Beam.")
    parser.add_argument("--host", default="localhost", help="the address at which to listen (localhost)")
    parser.add_argument("--port", type=int, default=50000, help="the port; 0 is a free one (50000)")
    given = parser.parse_args(arguments)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with serving(given.host, given.port) as port:
        print(f"Serving workers at {given.host}:{port}", flush=True)
        signal.sigwait(signals)


def _problem(worker: BaseProcess, receiver: Connection) -> str:
    """Waits until a worker has reached its runner; returns what kept it from that, or nothing."""
    if not receiver.poll(_SECONDS_TO_CONNECT):
        return f"the worker has not reached its runner in {_SECONDS_TO_CONNECT:.0f} seconds"
    try:
        return str(receiver.recv())
    except EOFError:
        worker.join(_SECONDS_TO_END)
        return f"the worker ended before it had reached its runner (exit code {worker.exitcode})"


def _worker_main(worker_id: str, provision_endpoint: str, sender: Connection, directory: str) -> None:
    from components.beam_workers.boot import leave, run_worker

    signal.signal(signal.SIGTERM, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    follow_parent_into_death(lambda: os._exit(1))
    tempfile.tempdir = tempfile.mkdtemp(dir=directory)
    _remove_at_exit(tempfile.tempdir, priority=0)

    is_connected = threading.Event()

    def connected() -> None:
        is_connected.set()
        sender.send("")

    try:
        run_worker(worker_id, provision_endpoint, connected=connected)
    except BaseException:
        if not is_connected.is_set():
            sender.send(traceback.format_exc())
        raise


def _end(worker: BaseProcess) -> None:
    worker.terminate()
    worker.join(_SECONDS_TO_END)
    worker.kill()
    worker.join()


if __name__ == "__main__":
    main()
