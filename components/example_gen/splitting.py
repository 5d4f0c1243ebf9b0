"""Divides examples into splits and shards, the same way in every run and on every machine."""

import bisect
import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator

from components.errors import EmptySplitError
from components.settings.base import Fraction, Settings, custom_error

# Few images are cut finely enough for some workers to help; of many the size of a shard counts: it is what a
# worker holds, and what is done again if one is lost.
_SHARDS_OF_FEW = 8
_SHARD_SIZES = (500, 7_500)

T = TypeVar("T")


class SplitFractions(Settings):
    """The share of the images that goes to each split; the three add up to 1."""

    train: Annotated[float, Field(gt=0, le=1)] = 0.8
    validation: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise custom_error(f"the three fractions must add up to 1, not {total:g}")
        return self


def position(key: str) -> float:
    """Places a key in [0, 1): evenly over many keys, and always at the same point."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(keys: Iterable[str], *, fractions: Mapping[str, float]) -> dict[str, list[str]]:
    """Assigns each key to a split by its position alone.

    A key keeps its split when others come or go.

    Args:
      keys: What to divide.
      fractions: The share of each split, in relation to the others.

    Returns:
      The keys of each split, ordered by position, which does not depend on the classes.
    """
    sums = list(itertools.accumulate(fractions.values()))
    bounds = [bound / sums[-1] for bound in sums]
    names = list(fractions)
    members: dict[str, list[str]] = {name: [] for name in names}
    for key in sorted(keys, key=position):
        members[names[bisect.bisect(bounds, position(key))]].append(key)
    return members


def check_none_empty(counts: Mapping[str, int], *, fractions: Mapping[str, float]) -> None:
    """Refuses fractions that leave a split without images.

    Args:
      counts: The number of images in each split.
      fractions: The share of each split that was asked for.

    Raises:
      EmptySplitError: A split has no image.
    """
    for split, count in counts.items():
        if not count:
            raise EmptySplitError(
                f"data.split_fractions.{split}: got {fractions[split]:g}, which leaves none of the "
                f"{sum(counts.values())} images to the {split} split; raise it or add images."
            )


def num_shards(num_examples: int) -> int:
    """Returns into how many shards a split of so many examples is written."""
    least, most = _SHARD_SIZES
    return max(1, min(_SHARDS_OF_FEW, num_examples // least), math.ceil(num_examples / most))


def in_shards(items: Sequence[T]) -> list[tuple[T, ...]]:
    """Cuts a split into shards of nearly equal size, in order."""
    return [tuple(items[start:stop]) for start, stop in shard_bounds(len(items))]


def shard_bounds(num_examples: int) -> list[tuple[int, int]]:
    """Returns the first example and the one after the last of each shard of a split."""
    count = num_shards(num_examples)
    cuts = [index * num_examples // count for index in range(count + 1)]
    return list(itertools.pairwise(cuts))
