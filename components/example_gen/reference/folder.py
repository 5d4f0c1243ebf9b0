"""The folder of the reference images."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from components.errors import InputError, suggest
from components.example_gen import class_folders, image_files, splitting
from components.example_gen.class_folders import FoundFile
from components.example_gen.source import NO_LABEL, Record, Skipped
from components.storage.listed import DataPath, data_path

# No source names an image like that: an id there may be a path, but never one with an empty part.
ID_PREFIX = "reference://"


@dataclasses.dataclass(frozen=True)
class ReferenceFolder:
    """The images of a folder of class folders, at any depth below these.

    Attributes:
      path: The folder, `data.reference`.
      weight: The weight of each image, where those of the data set have one.
    """

    path: str
    weight: float | None = None

    def check(self) -> None:
        """Refuses a folder that is missing or holds no image in a class folder."""
        image_files.check_folder(self._root, given=self._given, wanted="a folder of class folders")
        if all(file.problem for file in self._files):
            raise InputError(
                f"{self._given} holds no {image_files.KINDS} file in a class folder; add images, or leave it "
                "out."
            )

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuses a folder for what is no class of the data; a class of which there is no image is none.

        Args:
          class_names: Those of the data.

        Raises:
          InputError: There is such a folder.
        """
        for name in self.strangers(class_names):
            raise InputError(
                f"{self._given} holds the folder {name!r}, which is no class of the data; rename or "
                f"remove it{suggest(name, class_names) or '.'}"
            )

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file."""
        return image_files.fingerprint(self._root, [file.path for file in self._files])

    def shards(self, class_names: Sequence[str]) -> list[tuple[FoundFile, ...]]:
        """Returns the shards, as lists of files with the labels that follow from the names of the classes."""
        labels = {name: label for label, name in enumerate(class_names)}
        files = map(_without_stranger, class_folders.list_classes(self._root, labels=labels))
        return splitting.in_shards(sorted(files, key=lambda file: splitting.position(file.path)))

    def strangers(self, class_names: Sequence[str]) -> list[str]:
        """Returns the folders for what is no class of the data."""
        return [name for name in class_folders.list_folders(self._root) if name not in class_names]

    def read(self, shard: tuple[FoundFile, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        for file in shard:
            item = class_folders.read(file, root=self._root, prefix=ID_PREFIX)
            yield dataclasses.replace(item, weight=self.weight) if isinstance(item, Record) else item

    @functools.cached_property
    def _root(self) -> DataPath:
        return data_path(self.path)

    @property
    def _given(self) -> str:
        return f"data.reference: got {self.path!r}, which"

    @functools.cached_property
    def _files(self) -> list[FoundFile]:
        return list(class_folders.list_classes(self._root))


def _without_stranger(file: FoundFile) -> FoundFile:
    """Leaves an image out that is of no class of the data."""
    if file.problem or file.label != NO_LABEL:
        return file
    return dataclasses.replace(file, problem="of no class of the data")
