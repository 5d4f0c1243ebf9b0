"""A source whose images are labelled in the test split alone."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from components.example_gen.source import NO_LABEL, Record, Skipped, Source
from components.example_gen.spans.pattern import Span


@dataclasses.dataclass(frozen=True)
class UnlabelledSource(Source):
    """Another source without the labels of its training and validation splits.

    They are dropped before anything is written, so that nothing later can depend on them.

    Attributes:
      source: Where the images come from.
    """

    source: Source

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes of the test split."""
        return self.source.class_names

    def check(self) -> None:
        """Refuses what the other source refuses."""
        self.source.check()

    def fingerprint(self) -> str:
        """Returns the fingerprint of the other source."""
        return self.source.fingerprint()

    def prepare(self) -> None:
        """Makes the other source ready to be read."""
        self.source.prepare()

    def notes(self) -> Sequence[str]:
        """Says of the splits what the other source says."""
        return self.source.notes()

    def spans(self) -> Sequence[Span]:
        """Returns the spans of the other source."""
        return self.source.spans()

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
