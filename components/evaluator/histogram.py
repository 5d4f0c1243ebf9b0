"""Counting many kinds of which few occur."""

import numpy as np


class Histogram:
    """Counts whole numbers, and sums a weight of each; holds only the numbers that occurred."""

    def __init__(self) -> None:
        self._codes: np.ndarray = np.empty(0, np.int64)
        self._counts: np.ndarray = np.empty(0, np.int64)
        self._weights: np.ndarray = np.empty(0)

    def add(self, codes: np.ndarray, *, weights: np.ndarray | None = None) -> None:
        """Counts each of `codes`, int64 `[n]`; `weights` `[n]` are 0 if not given."""
        self._take(codes, np.ones_like(codes), np.zeros(len(codes)) if weights is None else weights)

    def merge(self, other: "Histogram") -> None:
        """Adds the counts and weights of another histogram."""
        self._take(other._codes, other._counts, other._weights)

    def dense(self, index: int, *, shape: tuple[int, int], weighted: bool = False) -> np.ndarray:
        """Returns the counts of the numbers from `index * size` on, in a matrix of that size.

        Args:
          index: Which stretch of numbers.
          shape: Rows and columns; their product is the size.
          weighted: Whether to return the sums of the weights in place of the counts.
        """
        size = shape[0] * shape[1]
        start, end = np.searchsorted(self._codes, [index * size, (index + 1) * size])
        values = self._weights if weighted else self._counts
        matrix = np.zeros(size, values.dtype)
        matrix[self._codes[start:end] - index * size] = values[start:end]
        return matrix.reshape(shape)

    def _take(self, codes: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> None:
        everything = np.concatenate([self._codes, codes])
        self._codes, place = np.unique(everything, return_inverse=True)
        size = len(self._codes)
        all_counts, all_weights = (
            np.bincount(place, np.concatenate(parts), size)
            for parts in ((self._counts, counts), (self._weights, weights))
        )
        self._counts, self._weights = all_counts.astype(np.int64), all_weights
