"""Tasks for the process that runs the graph, importable from there."""

import os
import signal
import subprocess
import sys
from typing import Any

from components.errors import InputError, LostEngineError
from pipeline.events import NodeStarted, Report
from pipeline.local.background import NodeError


def chatter(report: Report) -> dict[str, Any]:
    print("printed by Python")
    os.write(1, b"written to 1\n")
    os.write(2, b"written to 2\n")
    subprocess.run(["echo", "printed by a program"], check=True)
    report(NodeStarted("Teacher"))
    return {"arguments": sys.argv[1:]}


def raise_input_error(report: Report) -> dict[str, Any]:
    raise InputError("The folder 'x' holds no images.")


def lose_engine(report: Report) -> dict[str, Any]:
    raise LostEngineError("beam: flink lost its JobManager.")


def raise_fault(report: Report) -> dict[str, Any]:
    raise ValueError("shapes (3,) and (4,)\ndo not match")


def raise_node_error(report: Report) -> dict[str, Any]:
    raise NodeError(node="Teacher") from KeyError("logits")


def be_killed(report: Report) -> dict[str, Any]:
    report(NodeStarted("Teacher"))
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def leave(report: Report) -> dict[str, Any]:
    os._exit(7)


def start_and_wait(report: Report) -> dict[str, Any]:
    """Reports its own process id and that of a program that it started, then waits for ever."""
    program = subprocess.Popen("exec sleep 600", shell=True)
    report(NodeStarted(f"{os.getpid()} {program.pid}"))
    program.wait()
    return {}
