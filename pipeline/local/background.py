"""A task in a process of its own: its output in a log, its events over a pipe.

TensorFlow and Beam write to the file descriptors 1 and 2 as they please, which only a redirection in a
process of its own keeps off the screen. That process leads a process group, so that it ends together with
whatever it started, and it ends when its parent does.
"""

import contextlib
import functools
import logging
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.process import BaseProcess

from components.errors import InputError, LostEngineError
from components.processes import follow_parent_into_death
from components.report.summary import Summary
from pipeline.events import Event, Report, RunFailed, RunFinished

# How the process starts: by a fork it may where this one has imported TFX, and does nothing else beside.
CONTEXT: ForkContext | SpawnContext = multiprocessing.get_context("spawn")
_SECONDS_BETWEEN_CHECKS = 0.5
_SECONDS_TO_END = 5.0
_LONGEST_MESSAGE = 300

Task = Callable[[Report], Summary]

_logger = logging.getLogger(__name__)


class NodeError(Exception):
    """A node failed through a fault that is not the user's; its cause is the original exception."""

    def __init__(self, *, node: str) -> None:
        super().__init__(node)
        self.node = node


def run_in_background(task: Task, *, log: pathlib.Path) -> Generator[Event, None, None]:
    """Runs a task in a new process and yields its events; closing the generator ends the process.

    Args:
      task: A picklable function that reports events and returns the summary of the run.
      log: The file to which everything goes that the process prints.

    Yields:
      What the task reports, then `RunFinished` or `RunFailed`, whatever befalls the process.
    """
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_child_main, args=(task, log, sender), name="graph")
    try:
        process.start()
        sender.close()
        yield from _received(receiver, process=process, log=log)
    finally:
        _end(process)
        receiver.close()


def _received(
    receiver: Connection, *, process: BaseProcess, log: pathlib.Path
) -> Generator[Event, None, None]:
    """Yields events up to the last one, which it makes up itself if the process dies without a word."""
    while True:
        alive = process.is_alive()  # Asked first: what a process sent before its end is still there.
        try:
            if not receiver.poll(_SECONDS_BETWEEN_CHECKS if alive else 0):
                if alive:
                    continue
                raise EOFError
            event: Event = receiver.recv()
        except (EOFError, OSError):
            process.join(_SECONDS_TO_END)
            yield RunFailed(f"{_how_it_ended(process.exitcode)}; the log is {log}", is_input_error=False)
            return
        yield event
        if isinstance(event, RunFinished | RunFailed):
            process.join(_SECONDS_TO_END)
            return


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"the process that runs the graph ended unexpectedly (exit code {exit_code})"
    name = signal.Signals(-exit_code).name
    hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"the process that runs the graph was killed by {name}{hint}"


def _end(process: BaseProcess) -> None:
    """Ends the process and all that it started: asks first, then insists."""
    if process.pid is None:
        return
    process.terminate()
    _signal_group(process.pid, signal.SIGTERM)
    process.join(_SECONDS_TO_END)
    process.kill()
    _signal_group(process.pid, signal.SIGKILL)
    process.join()


def _signal_group(leader: int, signal_: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # It has ended, or it does not lead a group yet.
        os.killpg(leader, signal_)


def _child_main(task: Task, log: pathlib.Path, sender: Connection) -> None:
    os.setsid()  # Ctrl-C is for the parent alone, which then ends this whole group.
    follow_parent_into_death(lambda: os.killpg(0, signal.SIGKILL))
    _redirect_output(log)
    sys.argv[1:] = []  # Beam and absl would read the parent's options.
    report = functools.partial(_send, sender, threading.Lock())
    try:
        summary = task(report)
    except Exception as error:
        _logger.exception("The run failed.")
        report(_as_event(error, log=log))
    else:
        report(RunFinished(summary))


def _send(sender: Connection, lock: threading.Lock, event: Event) -> None:
    with lock:  # Nodes and trainings may report from several threads.
        sender.send(event)


def _redirect_output(log: pathlib.Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


def _as_event(error: Exception, *, log: pathlib.Path) -> RunFailed:
    if isinstance(error, InputError):
        return RunFailed(str(error), is_input_error=not isinstance(error, LostEngineError))
    where = ""
    if isinstance(error, NodeError) and isinstance(error.__cause__, Exception):
        where, error = f" in {error.node}", error.__cause__
    lines = str(error).strip().splitlines() or ["no message"]
    message = f"{type(error).__name__}: {lines[0][:_LONGEST_MESSAGE]}"
    return RunFailed(f"internal error{where}: {message}; the traceback is in {log}", is_input_error=False)
