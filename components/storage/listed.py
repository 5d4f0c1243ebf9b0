"""Folders at a URI that are looked through by one listing, as a local one is by its directories."""

import functools
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import NamedTuple

from components.errors import InputError
from components.files import expand_user
from components.storage import files
from components.storage.place import Entry
from components.storage.uri import as_path, is_remote, join, name_of, parent_of


class Status(NamedTuple):
    """What a listing tells of a file, under the names of `os.stat_result`; `st_mtime_ns` is its version."""

    st_mode: int
    st_size: int
    st_mtime_ns: str


class ListedPath:
    """What lies at a URI, with the methods of `pathlib.Path` that looking for images needs.

    All that is below the first of them is listed once, when it is first looked through: no file is asked for
    by itself until it is read. Sent to another process it is only where it lies.
    """

    def __init__(self, uri: str, *, tree: "_Tree | None" = None) -> None:
        """Names a place.

        Args:
          uri: Where it is.
          tree: Of a folder that it is in, or None for its own.
        """
        self._uri = uri.rstrip("/")
        self._tree = tree or _Tree(self._uri)

    def __reduce__(self) -> tuple[type["ListedPath"], tuple[str]]:
        return type(self), (self._uri,)

    def __str__(self) -> str:
        return self._uri

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._uri)

    def __lt__(self, other: "ListedPath") -> bool:
        return self._uri < other._uri

    def __truediv__(self, name: str) -> "ListedPath":
        return ListedPath(join(self._uri, name), tree=self._tree) if name else self

    @property
    def name(self) -> str:
        """The last part."""
        return name_of(self._uri)

    @property
    def parent(self) -> "ListedPath":
        """The folder that it is in."""
        return ListedPath(parent_of(self._uri))

    def resolve(self) -> "ListedPath":
        """Returns the same: there are no links."""
        return self

    def iterdir(self) -> Iterator["ListedPath"]:
        """Yields what is in the folder."""
        for name in self._tree.folders.get(self._place, {}):
            yield self / name

    def exists(self) -> bool:
        """Tells whether there is a file or a folder."""
        return self.is_dir() or self.is_file()

    def is_dir(self) -> bool:
        """Tells whether there is a folder."""
        if not self._place and not self._tree.is_listed:
            return files.is_folder(self._uri)
        return self._place in self._tree.folders

    def is_file(self) -> bool:
        """Tells whether there is a file."""
        return self._place in self._tree.entries if self._place else files.is_file(self._uri)

    def stat(self) -> Status:
        """Returns what the listing tells of it."""
        if self.is_dir():
            return Status(stat.S_IFDIR, 0, "")
        entry = self._tree.entries.get(self._place)
        if entry is None:
            raise FileNotFoundError(f"{self._uri} is not there")
        return Status(stat.S_IFREG, entry.size, entry.version)

    lstat = stat

    def read_bytes(self) -> bytes:
        """Reads the file."""
        try:
            return files.read_bytes(self._uri)
        except FileNotFoundError:
            raise FileNotFoundError(2, os.strerror(2), self._uri) from None

    def read_text(self, encoding: str = "utf-8") -> str:
        """Reads the file as text."""
        return self.read_bytes().decode(encoding)

    def files(self) -> Iterator[str]:
        """Yields the paths of all files below, relative to the folder."""
        start = f"{self._place}/" if self._place else ""
        return (name.removeprefix(start) for name in self._tree.entries if name.startswith(start))

    @property
    def _place(self) -> str:
        return self._uri.removeprefix(self._tree.uri).lstrip("/")


DataPath = pathlib.Path | ListedPath


def data_path(path: str) -> DataPath:
    """Returns where data lies: in the user's home for `~`, or at a URI."""
    return ListedPath(path) if is_remote(path) else expand_user(str(as_path(path)))


class _Tree:
    """The listing of a folder: what lies below it by its path, and the names in each folder."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def is_listed(self) -> bool:
        """Whether that has been done."""
        return "entries" in vars(self)

    @functools.cached_property
    def entries(self) -> dict[str, Entry]:
        """The files, sorted."""
        files.check_readable(self.uri)
        return {
            entry.name: entry for entry in sorted(files.files_below(self.uri), key=lambda each: each.name)
        }

    @functools.cached_property
    def folders(self) -> dict[str, dict[str, None]]:
        """The names of what is in each folder; the first is called ''."""
        found: dict[str, dict[str, None]] = {}
        for path in self.entries:
            while path:
                folder, _, name = path.rpartition("/")
                names = found.setdefault(folder, {})
                if name in names:
                    break
                names[name] = None
                path = folder
        return found


def check_reached(path: DataPath, *, given: str) -> None:
    """Looks whether a place can be reached at all.

    Args:
      path: Where data should be.
      given: What the user gave, as the beginning of a sentence.

    Raises:
      InputError: It is at a URI that cannot be reached.
    """
    if isinstance(path, ListedPath):
        try:
            files.check_readable(str(path))
        except InputError as error:
            raise InputError(f"{given} {str(error).removeprefix(f'{path} ')}") from None
