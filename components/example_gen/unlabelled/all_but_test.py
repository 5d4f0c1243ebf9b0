"""A source whose images are labelled in the test split alone."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from components.example_gen.source import NO_LABEL, ExtendedSource, Record, Skipped


@dataclasses.dataclass(frozen=True)
class UnlabelledSource(ExtendedSource):
    """Another source without the labels of its training and validation splits.

    They are dropped before anything is written, so that nothing later can depend on them.
    """

    def shards(self, split: str) -> list[tuple[str, Any]]:
        """Returns the shards of a split, each with the name of the split."""
        return [(split, shard) for shard in self.source.shards(split)]

    def read(self, shard: tuple[str, Any]) -> Iterator[Record | Skipped]:
        """Reads one shard."""
        split, rest = shard
        for item in self.source.read(rest):
            if split != "test" and isinstance(item, Record):
                yield dataclasses.replace(item, label=NO_LABEL)
            else:
                yield item
