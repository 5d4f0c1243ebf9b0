"""Prism on this machine: the portable runner of Beam itself, of the same version as what is tested."""

import contextlib
import json
import pathlib
import sys
from collections.abc import Iterator

import apache_beam as beam
from command_line import REPOSITORY
from parts import HOST, Part, free_ports

PROGRAM = REPOSITORY / "build" / f"prism-{beam.__version__}"
_WORKER = pathlib.Path(sys.executable).with_name("distill-worker")


def find_missing() -> str | None:
    """Returns why it cannot run here, or None."""
    return None if PROGRAM.is_file() else "needs what `make test-flink` builds where there is Go"


class Prism:
    """It takes the place of Flink's job server, and starts the program of the workers by itself."""

    def __init__(self, port: int) -> None:
        workers = {"kind": "process", "command": str(_WORKER)}
        settings = {"job_server": f"{HOST}:{port}", "workers": workers}
        self.options = [
            *("--beam", "flink", "--set", f"beam.flink={json.dumps(settings)}"),
            *("--set", "beam.start_seconds=300"),  # This machine may be busy.
        ]


@contextlib.contextmanager
def running_prism(directory: pathlib.Path) -> Iterator[Prism]:
    """Runs it within a context."""
    (port,) = free_ports(1)
    command = [str(PROGRAM), f"--job_port={port}", "--serve_http=false", "--log_kind=text"]
    part = Part("prism", command, ready="Serving JobManagement", directory=directory)
    try:
        part.wait_until_ready()
        yield Prism(port)
    finally:
        part.kill()
