"""A folder of images of which nothing is known but that they are images."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import stat
from collections.abc import Iterator

from components.errors import InputError
from components.example_gen import splitting
from components.example_gen.source import NO_LABEL, Record, Skipped
from components.files import expand_user

# No source names an image like that: an id there may be a path, but never one with an empty part.
ID_PREFIX = "unlabelled://"

_SUFFIXES = (".jpg", ".jpeg", ".png")
_OTHER_KIND = "not a .jpg, .jpeg or .png file"
_NO_FILE = "not a file"


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
        if not self._root.exists():
            raise InputError(f"{given} does not exist; give a folder of images.")
        if not self._root.is_dir():
            raise InputError(f"{given} is a file; give a folder of images.")
        if not any(map(_has_suffix, self._names)):
            raise InputError(f"{given} holds no .jpg, .jpeg or .png file; add images, or leave it out.")

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file."""
        digest = hashlib.sha256()
        for name in self._names:
            file = self._root / name
            status = file.stat() if file.exists() else file.lstat()
            digest.update(f"{name!r} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def shards(self) -> list[tuple[str, ...]]:
        """Returns the shards, as paths below the folder, in the order of their hashes."""
        return splitting.in_shards(sorted(self._names, key=splitting.position))

    def read(self, shard: tuple[str, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        return map(self._read, shard)

    @property
    def _root(self) -> pathlib.Path:
        return expand_user(self.path)

    @functools.cached_property
    def _names(self) -> list[str]:
        """All that lies in the folder, sorted: paths relative to it, with forward slashes."""
        found: list[pathlib.Path] = []
        for folder, folders, files in os.walk(self._root, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            links = [name for name in folders if pathlib.Path(folder, name).is_symlink()]
            found.extend(pathlib.Path(folder, name) for name in (*files, *links) if not name.startswith("."))
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def _read(self, name: str) -> Record | Skipped:
        file = self._root / name
        # A file name need not be UTF-8, an id has to be.
        example_id = ID_PREFIX + os.fsencode(name).decode("utf-8", "backslashreplace")
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                return Skipped(example_id, _NO_FILE)
            if not _has_suffix(name):
                return Skipped(example_id, _OTHER_KIND)
            return Record(example_id, file.read_bytes(), NO_LABEL, self.weight)
        except OSError as error:
            return Skipped(example_id, f"cannot be read: {error.strerror}", corrupt=_has_suffix(name))


def _has_suffix(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _refuse(error: OSError) -> None:
    raise InputError(
        f"data.unlabelled: {str(error.filename)!r} cannot be read ({error.strerror}); change its "
        "permissions, or give another folder."
    ) from None
