"""A folder of images of which nothing is known but that they are images."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator

from components.errors import InputError
from components.example_gen import image_files, splitting
from components.example_gen.source import NO_LABEL, Record, Skipped
from components.storage.listed import DataPath, ListedPath, data_path

# No source names an image like that: an id there may be a path, but never one with an empty part.
ID_PREFIX = "unlabelled://"


@dataclasses.dataclass(frozen=True)
class UnlabelledFolder:
    """The images of a folder and of all folders in it, by any names.

    Hidden files and folders are ignored, and links to folders are not followed; every other thing that is
    no image is reported as skipped.

    Attributes:
      path: The folder, `data.unlabelled`.
      weight: The weight of each image, where those of the data set have one.
    """

    path: str
    weight: float | None = None

    def check(self) -> None:
        """Refuses a folder that is missing or holds no image."""
        given = f"data.unlabelled: got {self.path!r}, which"
        image_files.check_folder(self._root, given=given, wanted="a folder of images")
        if not any(map(image_files.is_image, self._names)):
            raise InputError(f"{given} holds no {image_files.KINDS} file; add images, or leave it out.")

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file."""
        return image_files.fingerprint(self._root, self._names)

    def shards(self) -> list[tuple[str, ...]]:
        """Returns the shards, as paths below the folder, in the order of their hashes."""
        return splitting.in_shards(sorted(self._names, key=splitting.position))

    def read(self, shard: tuple[str, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        return map(self._read, shard)

    @functools.cached_property
    def _root(self) -> DataPath:
        return data_path(self.path)

    @functools.cached_property
    def _names(self) -> list[str]:
        """All that lies in the folder, sorted: paths relative to it, with forward slashes."""
        if isinstance(self._root, ListedPath):
            return sorted(name for name in self._root.files() if not _is_hidden(name))
        found: list[pathlib.Path] = []
        for folder, folders, files in os.walk(self._root, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            links = [name for name in folders if pathlib.Path(folder, name).is_symlink()]
            found.extend(pathlib.Path(folder, name) for name in (*files, *links) if not name.startswith("."))
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def _read(self, name: str) -> Record | Skipped:
        file = self._root / name
        example_id = ID_PREFIX + image_files.printable(name)
        problem = image_files.find_problem(file)
        if problem:
            return Skipped(example_id, problem)
        try:
            return Record(example_id, file.read_bytes(), NO_LABEL, self.weight)
        except OSError as error:
            return Skipped(example_id, f"cannot be read: {error.strerror}", corrupt=True)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _refuse(error: OSError) -> None:
    raise InputError(
        f"data.unlabelled: {str(error.filename)!r} cannot be read ({error.strerror}); change its "
        "permissions, or give another folder."
    ) from None
