"""Keeps the output of libraries off the screen."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discards what this process prints for a while, from Python and from C++ alike."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as undo:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        undo.callback(os.close, nowhere)
        for stream in (1, 2):
            saved = os.dup(stream)
            undo.callback(os.close, saved)
            undo.callback(os.dup2, saved, stream)
            os.dup2(nowhere, stream)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
