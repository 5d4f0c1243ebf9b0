"""How far work on shards has come, which shows in the files that are whole, whoever writes them."""

import contextlib
import contextvars
import dataclasses
import logging
import threading
from collections.abc import Iterator, Sequence

from components.errors import InputError
from components.storage.files import file_names
from components.storage.uri import name_of, parent_of

_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ShardsWritten:
    """How many of how many shards are whole."""

    number: int
    total: int


@contextlib.contextmanager
def progress_told(files: Sequence[str], *, seconds: float = _SECONDS) -> Iterator[None]:
    """Tells the user how many of some files are there, whenever there are more.

    A log record carries that as its attribute `shards_written`.

    Args:
      files: Paths or URIs of files that appear when they are whole.
      seconds: After which to look again.
    """
    ended = threading.Event()
    before = _count(files)

    def watch() -> None:
        told = before
        while not ended.wait(seconds):
            number = _count(files)
            if number > told:
                told = number
                written = ShardsWritten(number, len(files))
                text = "%d of %d shards are written"
                logger.info(text, number, len(files), extra={"shards_written": written})

    # What knows which node runs is a variable of this context.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(watch,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _count(files: Sequence[str]) -> int:
    """Counts the files that are there; none of what cannot be listed just now."""
    there: set[tuple[str, str]] = set()
    for folder in {parent_of(file) for file in files}:
        with contextlib.suppress(InputError, OSError):
            there |= {(folder, name) for name in file_names(folder)}
    return len(there.intersection((parent_of(file), name_of(file)) for file in files))
