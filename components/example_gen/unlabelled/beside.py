"""A source with images without labels beside its labelled ones."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from components.example_gen import splitting
from components.example_gen.source import NO_LABEL, ExtendedSource, Record, Skipped
from components.example_gen.unlabelled.folder import UnlabelledFolder
from components.layout import UNLABELLED


class _Shard(NamedTuple):
    """A shard of a split: of the source, or of the folder."""

    split: str
    content: Any
    in_folder: bool = False


@dataclasses.dataclass(frozen=True)
class PartlyLabelledSource(ExtendedSource):
    """Another source with a fourth split, of images without labels.

    It holds those training images whose labels are not to be used, and those of a folder. Which labels are
    used follows from a hash of the image's id: an image keeps its label, or lacks it, when others are added.
    Labels are dropped before anything is written, so that nothing later can depend on them.

    Attributes:
      labelled_fraction: The share of the training images whose labels are used.
      folder: Further images without labels; None for no others.
    """

    labelled_fraction: float
    folder: UnlabelledFolder | None

    def check(self) -> None:
        """Refuses what the other source refuses, and a folder that is missing or holds no image."""
        self.source.check()
        if self.folder:
            self.folder.check()

    def fingerprint(self) -> str:
        """Returns the fingerprints of the other source and of the folder."""
        of_source = self.source.fingerprint()
        return f"{of_source} {self.folder.fingerprint()}" if self.folder else of_source

    def prepare(self) -> None:
        """Makes the other source ready to be read, and checks the folder."""
        self.source.prepare()
        if self.folder:
            self.folder.check()

    def shards(self, split: str) -> list[_Shard]:
        """Returns the shards of a split; those of the training split are read for two splits."""
        if split != UNLABELLED:
            return [_Shard(split, shard) for shard in self.source.shards(split)]
        rest = self.source.shards("train") if self.labelled_fraction < 1 else ()
        others = self.folder.shards() if self.folder else ()
        return [
            *(_Shard(split, shard) for shard in rest),
            *(_Shard(split, shard, in_folder=True) for shard in others),
        ]

    def read(self, shard: _Shard) -> Iterator[Record | Skipped]:
        """Reads one shard."""
        if self.folder and shard.in_folder:
            yield from self.folder.read(shard.content)
            return
        for item in self.source.read(shard.content):
            if shard.split == UNLABELLED:
                if not self._is_labelled(item):
                    yield _without_label(item)
            elif shard.split != "train" or self._is_labelled(item):
                yield item

    def _is_labelled(self, item: Record | Skipped) -> bool:
        # The hash of the id alone may have chosen the split already.
        return splitting.position(f"label {item.id}") < self.labelled_fraction


def _without_label(item: Record | Skipped) -> Record | Skipped:
    return dataclasses.replace(item, label=NO_LABEL) if isinstance(item, Record) else item
