"""A sparse histogram."""

from collections.abc import Callable

import numpy as np

_Parts = tuple[np.ndarray, np.ndarray, np.ndarray]

_FEW = 1 << 16
_NOTHING: _Parts = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


class Histogram:
    """Counts whole numbers, and sums a weight of each; holds only the numbers that occurred."""

    def __init__(self) -> None:
        self._parts = [_NOTHING]  # The first is sorted, without repetitions; what comes after waits.

    def add(self, codes: np.ndarray, *, weights: np.ndarray | None = None) -> None:
        """Counts each of `codes`, int64 `[n]`; `weights` `[n]` are 0 if not given."""
        self._append((codes, np.ones_like(codes), np.zeros(len(codes)) if weights is None else weights))

    def merge(self, other: "Histogram") -> None:
        """Adds the counts and weights of another histogram."""
        for part in other._parts:
            self._append(part)

    def exceeds(self, limit: int) -> bool:
        """Tells whether more than `limit` different numbers occurred."""
        if sum(len(codes) for codes, _, _ in self._parts) <= limit:
            return False
        self._sort()
        return len(self._parts[0][0]) > limit

    def recoded(self, function: Callable[[np.ndarray], np.ndarray]) -> "Histogram":
        """Returns the histogram of what a function makes of the numbers."""
        made = Histogram()
        for codes, counts, weights in self._parts:
            made._append((function(codes), counts, weights))
        return made

    def between(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers in `range(start, end)` that occurred, ascending, and their counts."""
        self._sort()
        codes, counts, _ = self._parts[0]
        first, last = np.searchsorted(codes, [start, end])
        return codes[first:last], counts[first:last]

    def dense(self, index: int, *, shape: tuple[int, int], weighted: bool = False) -> np.ndarray:
        """Returns the counts of the numbers from `index * size` on, in a matrix of that size.

        Args:
          index: Which stretch of numbers.
          shape: Rows and columns; their product is the size.
          weighted: Whether to return the sums of the weights in place of the counts.
        """
        self._sort()
        codes, counts, weights = self._parts[0]
        size = shape[0] * shape[1]
        start, end = np.searchsorted(codes, [index * size, (index + 1) * size])
        values = weights if weighted else counts
        matrix = np.zeros(size, values.dtype)
        matrix[codes[start:end] - index * size] = values[start:end]
        return matrix.reshape(shape)

    def _append(self, part: _Parts) -> None:
        """Lets a part wait until there are as many as are sorted: so each is sorted a few times only."""
        self._parts.append(part)
        if sum(len(codes) for codes, _, _ in self._parts[1:]) > max(_FEW, len(self._parts[0][0])):
            self._sort()

    def _sort(self) -> None:
        if len(self._parts) == 1:
            return
        all_codes, all_counts, all_weights = (
            np.concatenate(parts) for parts in zip(*self._parts, strict=True)
        )
        codes, place = np.unique(all_codes, return_inverse=True)
        counts = np.bincount(place, all_counts, len(codes)).astype(np.int64)
        self._parts = [(codes, counts, np.bincount(place, all_weights, len(codes)))]
