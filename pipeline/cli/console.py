"""Where the commands print, and how they complain."""

import sys

from rich.console import Console

_NO_SCREEN = 1000


def stdout() -> Console:
    """Returns a console on standard output, wide enough to break nothing where no screen sets a width."""
    return Console() if sys.stdout.isatty() else Console(width=_NO_SCREEN)


def stderr() -> Console:
    """Returns a console on standard error that breaks no line."""
    return Console(stderr=True, soft_wrap=True)


def complain(message: str, *, code: int) -> int:
    """Prints what is wrong on standard error, and returns the exit code that says so."""
    stderr().print(f"distill: {message}", style="red", markup=False, highlight=False)
    return code


def warn(message: str) -> None:
    """Prints on standard error what went wrong without failing the command."""
    stderr().print(f"distill: {message}", style="yellow", markup=False, highlight=False)
