"""Split expressions of TensorFlow Datasets, such as `train[:90%]+validation`, as plain numbers.

TFDS reads them itself, but only once it is imported and the data set is prepared. Here they are
checked, compared and cut before that. https://www.tensorflow.org/datasets/splits
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from components.example_gen import splitting

_BOUND = r"(?:-?[\d_]+(?:\.\d+)?(?:%|shard)?)?"
_PART = re.compile(rf"(?P<split>[\w-]+)(?:\[(?P<start>{_BOUND})(?P<colon>:)?(?P<stop>{_BOUND})\])?")


@dataclasses.dataclass(frozen=True)
class Part:
    """One term of an expression, before the size of its split is known.

    Attributes:
      split: The name of a split of the data set, or `all`.
      start: Where it begins; None is the start of the split.
      stop: Where it ends; None is the end of the split.
      unit: What the two count: '' for examples, '%', or 'shard'.
    """

    split: str
    start: float | None = None
    stop: float | None = None
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Slice:
    """The examples of a split from `start` up to, and without, `stop`."""

    split: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.split}[{self.start}:{self.stop}]"


def parse(expression: str) -> tuple[Part, ...]:
    """Reads a split expression.

    Raises:
      ValueError: It is not one.
    """
    return tuple(_parse_part(term.strip()) for term in expression.split("+"))


def resolve(expression: str, *, shard_lengths: Mapping[str, Sequence[int]]) -> tuple[Slice, ...]:
    """Finds the examples that a split expression means.

    Args:
      expression: A split expression.
      shard_lengths: The number of examples in each file of each split of the data set.

    Returns:
      One slice for each term.

    Raises:
      ValueError: It names no split of the data set, exceeds one, or selects nothing.
    """
    parts = parse(expression)
    if parts == (Part("all"),):
        parts = tuple(Part(split) for split in shard_lengths)
    return tuple(_resolve_part(part, shard_lengths) for part in parts)


def overlap(left: Slice, right: Slice) -> bool:
    """Tells whether two slices have an example in common."""
    return left.split == right.split and max(left.start, right.start) < min(left.stop, right.stop)


def count(slices: Sequence[Slice]) -> int:
    """Counts the examples of several slices."""
    return sum(piece.stop - piece.start for piece in slices)


def cut(slices: Sequence[Slice]) -> list[str]:
    """Cuts slices into shards of nearly equal size, each as a split expression."""
    bounds = splitting.shard_bounds(count(slices))
    return ["+".join(map(str, _between(slices, start, stop))) for start, stop in bounds]


def _parse_part(term: str) -> Part:
    match = _PART.fullmatch(term)
    if not match:
        raise ValueError("expected an expression such as 'train', 'train[:90%]' or 'train+test[100:]'")
    if match["start"] is None:
        return Part(match["split"])
    start, start_unit = _parse_bound(match["start"])
    stop, stop_unit = _parse_bound(match["stop"])
    unit = start_unit or stop_unit
    if not match["colon"]:
        if start is None or unit != "shard":
            raise ValueError(f"expected two bounds in the brackets, as in '{match['split']}[:90%]'")
        stop = start + 1
    if start is None and stop is None:
        raise ValueError(f"expected at least one bound in the brackets, as in '{match['split']}[:90%]'")
    if match["split"] == "all":
        raise ValueError("'all' takes no brackets; name a split")
    _check_bounds(start, stop, unit)
    return Part(match["split"], start, stop, unit)


def _parse_bound(text: str) -> tuple[float | None, str]:
    unit = next((unit for unit in ("%", "shard") if text.endswith(unit)), "")
    number = text.removesuffix(unit)
    return (float(number) if number else None), unit


def _check_bounds(start: float | None, stop: float | None, unit: str) -> None:
    for bound in (start, stop):
        if bound is None:
            continue
        if unit == "%" and abs(bound) > 100:
            raise ValueError(f"{bound:g}% is not between -100% and 100%")
        if unit != "%" and bound != int(bound):
            raise ValueError(f"{bound:g} is not a whole number")


def _resolve_part(part: Part, shard_lengths: Mapping[str, Sequence[int]]) -> Slice:
    if part.split not in shard_lengths:
        raise ValueError(f"allowed: {', '.join(shard_lengths)}")
    lengths = shard_lengths[part.split]
    size = sum(lengths)
    start = 0 if part.start is None else _position(part.start, part.unit, lengths)
    stop = size if part.stop is None else _position(part.stop, part.unit, lengths, is_stop=True)
    if abs(start) > size or abs(stop) > size:
        raise ValueError(f"{part.split!r} has only {size} examples")
    start, stop = (bound + size if bound < 0 else bound for bound in (start, stop))
    if start >= stop:
        raise ValueError(f"it selects none of the {size} examples of {part.split!r}")
    return Slice(part.split, start, stop)


def _position(bound: float, unit: str, lengths: Sequence[int], *, is_stop: bool = False) -> int:
    """Turns a bound into a count of examples, rounded as TFDS does it."""
    if unit == "%":
        return round(bound * sum(lengths) / 100.0)
    if unit == "shard":
        files = int(bound) + len(lengths) if is_stop and bound <= 0 else int(bound)
        return sum(lengths[:files])
    return int(bound)


def _between(slices: Sequence[Slice], start: int, stop: int) -> list[Slice]:
    """Selects the examples from `start` to `stop` of slices laid end to end."""
    pieces = []
    offset = 0
    for piece in slices:
        first = piece.start + max(start - offset, 0)
        last = min(piece.stop, piece.start + stop - offset)
        if first < last:
            pieces.append(Slice(piece.split, first, last))
        offset += piece.stop - piece.start
    return pieces
