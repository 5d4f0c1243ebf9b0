"""Processes that end with the one that started them."""

import multiprocessing
import multiprocessing.connection
import threading
from collections.abc import Callable


def follow_parent_into_death(die: Callable[[], object]) -> None:
    """Has this process end when its parent does, however that ends; does nothing where it has none.

    Args:
      die: Ends this process, from another thread.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_after, args=(parent.sentinel, die), daemon=True).start()


def _die_after(sentinel: int, die: Callable[[], object]) -> None:
    multiprocessing.connection.wait([sentinel])
    die()
