"""Doing some work ahead of what uses its results."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """Yields what a function makes of each item, in their order, while threads are at work on the next.

    Args:
      function: Called in a thread; of use where it leaves Python free, as TensorFlow does.
      items: Read no further ahead than the threads are.
      threads: How many calls go on at once.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: collections.deque[Future[R]] = collections.deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
