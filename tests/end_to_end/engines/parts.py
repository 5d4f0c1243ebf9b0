"""The processes of an engine of Beam's, all on this machine."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence

from command_line import REPOSITORY

HOST = "127.0.0.1"
_SECONDS_TO_START = 120.0


class Part:
    """A process whose output goes to a file, too, and that is ready once it says so."""

    def __init__(self, name: str, command: Sequence[str], *, ready: str, directory: pathlib.Path) -> None:
        self.name = name
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._log = directory / f"{name}.log"
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ready = ready

    def wait_until_ready(self) -> str:
        """Returns the line in which it says so."""
        return self.wait_for(self._ready)

    def wait_for(
        self, phrase: str, *, count: int = 1, after: int = 0, seconds: float = _SECONDS_TO_START
    ) -> str:
        """Returns a line with a phrase: the `count`th of those that come `after` so many lines."""
        found: list[str] = []
        read = after

        def is_found() -> bool:
            nonlocal read
            found.extend(line for line in self._lines[read:] if phrase in line)
            read = len(self._lines)
            return len(found) >= count

        with self._news:
            self._news.wait_for(lambda: is_found() or not self._reader.is_alive(), timeout=seconds)
        assert len(found) >= count, f"{self.name} has not said {phrase!r}; see {self._log}"
        return found[count - 1]

    def has_said(self, phrase: str, *, after: int = 0) -> bool:
        """Whether a phrase is in the lines that come `after` so many."""
        return any(phrase in line for line in self._lines[after:])

    def wait_for_place(self, phrase: str) -> int:
        """Returns how many lines there are up to one with a phrase."""
        line = self.wait_for(phrase)
        return self._lines.index(line) + 1

    def wait_for_end(self, *, seconds: float) -> tuple[int, str]:
        """Returns its exit status, and all that it has written."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status, "".join(self._lines)

    @property
    def said(self) -> int:
        """How many lines it has written so far."""
        return len(self._lines)

    def kill(self) -> None:
        """Ends it at once, and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self._log.open("a", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


def free_ports(count: int) -> list[int]:
    """Finds ports at which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
