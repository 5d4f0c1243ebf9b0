"""A source with reference images beside its own."""

import dataclasses
from collections.abc import Iterator, Sequence
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
        """Makes the other source ready to be read, and checks the folder.

        A window of spans may lack a class for a while, whose reference images are then left out.
        """
        self.source.prepare()
        self.folder.check()
        if not self.spans():
            self.folder.check_classes(self.class_names)

    def notes(self) -> Sequence[str]:
        """Says which reference images are left out, beside what the other source says."""
        left_out = self.folder.strangers(self.class_names)
        own = (f"the reference images of {name} are left out: the data has none" for name in left_out)
        return [*self.source.notes(), *own]

    def shards(self, split: str) -> list[_Shard]:
        """Returns the shards of a split."""
        if split == REFERENCE:
            return [_Shard(shard, is_reference=True) for shard in self.folder.shards(self.class_names)]
        return [_Shard(shard, is_reference=False) for shard in self.source.shards(split)]

    def read(self, shard: _Shard) -> Iterator[Record | Skipped]:
        """Reads one shard."""
        return self.folder.read(shard.content) if shard.is_reference else self.source.read(shard.content)
