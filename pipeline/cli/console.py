"""Where the commands print."""

import sys

from rich.console import Console

_NO_SCREEN = 1000


def stdout() -> Console:
    """Returns a console on standard output, wide enough to break nothing where no screen sets a width."""
    return Console() if sys.stdout.isatty() else Console(width=_NO_SCREEN)


def stderr() -> Console:
    """Returns a console on standard error that breaks no line."""
    return Console(stderr=True, soft_wrap=True)
