"""A source with reference images beside its own."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from components.example_gen.reference.folder import ReferenceFolder
from components.example_gen.source import ExtendedSource, Record, Skipped
from components.layout import REFERENCE


class _Shard(NamedTuple):
    """A shard of the source, or of the folder."""

    content: Any
    is_reference: bool


@dataclasses.dataclass(frozen=True)
class ReferencedSource(ExtendedSource):
    """Another source with one more split, of the reference images.

    Attributes:
      folder: Where they lie.
    """

    folder: ReferenceFolder

    def check(self) -> None:
        """Refuses what the other source refuses, and a folder that is missing or holds no image."""
        self.source.check()
        self.folder.check()

    def fingerprint(self) -> str:
        """Returns the fingerprints of the other source and of the folder."""
        return f"{self.source.fingerprint()} {self.folder.fingerprint()}"

    def prepare(self) -> None:
        """Makes the other source ready to be read, and checks the folder."""
        self.source.prepare()
        self.folder.check()
        self.folder.check_classes(self.class_names)

    def shards(self, split: str) -> list[_Shard]:
        """Returns the shards of a split."""
        if split == REFERENCE:
            return [_Shard(shard, is_reference=True) for shard in self.folder.shards(self.class_names)]
        return [_Shard(shard, is_reference=False) for shard in self.source.shards(split)]

    def read(self, shard: _Shard) -> Iterator[Record | Skipped]:
        """Reads one shard."""
        return self.folder.read(shard.content) if shard.is_reference else self.source.read(shard.content)
