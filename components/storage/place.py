"""What can be done with files at a place, and how each kind of place does it."""

import abc
import dataclasses
import functools
import pathlib
import uuid
from collections.abc import Iterator
from typing import IO

from components.storage.uri import join

# Bytes: of a file that is copied no more than a few times as much is in memory.
PIECE = 10 * 2**20


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file, as a listing tells of it.

    Attributes:
      name: Its path relative to what was listed, with forward slashes.
      size: In bytes.
      version: Changes with its content, or when it is written: a hash, or a time.
    """

    name: str
    size: int
    version: str


class Place(abc.ABC):
    """A file system or an object store; each method takes whole paths or URIs."""

    def check_writable(self, uri: str) -> None:
        """Writes a small file into a folder and removes it again; raises InputError if it cannot."""
        probe = join(uri, probe_name())
        self.write(probe, b"")
        self.remove(probe)

    def check_readable(self, uri: str) -> None:
        """Raises InputError if one cannot even look whether there is a folder."""
        self.is_folder(uri)

    @abc.abstractmethod
    def is_file(self, uri: str) -> bool:
        """Tells whether there is a file."""

    @abc.abstractmethod
    def is_folder(self, uri: str) -> bool:
        """Tells whether there is a folder; in an object store that is one with something in it."""

    @abc.abstractmethod
    def names(self, uri: str) -> tuple[list[str], list[str]]:
        """Returns the names of the folders and of the files in a folder; none where there is no folder."""

    @abc.abstractmethod
    def files(self, uri: str) -> Iterator[Entry]:
        """Yields all files below a folder, in any order; none where there is no folder."""

    @abc.abstractmethod
    def pieces(self, uri: str) -> Iterator[bytes]:
        """Yields a file, some `PIECE` bytes at a time; raises FileNotFoundError if it is not there."""

    @abc.abstractmethod
    def write_pieces(self, uri: str, pieces: Iterator[bytes]) -> None:
        """Writes a file and the folders above it; until all of it is there, what was there before stays."""

    @abc.abstractmethod
    def remove(self, uri: str) -> None:
        """Removes a file, or a folder with all that is in it, or nothing where neither is."""

    def read(self, uri: str) -> bytes:
        """Reads a whole file; raises FileNotFoundError if it is not there."""
        return b"".join(self.pieces(uri))

    def write(self, uri: str, content: bytes) -> None:
        """Writes a file as `write_pieces` does."""
        self.write_pieces(uri, iter([content]))

    def download(self, uri: str, path: pathlib.Path) -> None:
        """Copies a file to this machine; the folder there exists."""
        pieces = self.pieces(uri)
        first = next(pieces, b"")  # Before there is a file: perhaps there is nothing to copy.
        with path.open("wb") as file:
            file.write(first)
            file.writelines(pieces)

    def upload(self, path: pathlib.Path, uri: str) -> None:
        """Copies a file from this machine, as `write_pieces` writes one."""
        with path.open("rb") as file:
            self.write_pieces(uri, pieces_of(file))


def probe_name() -> str:
    """Returns the name of a file that nobody else writes, by which a folder is tried."""
    return f".distill-{uuid.uuid4().hex}"


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """Reads an open file piece by piece."""
    return iter(functools.partial(file.read, PIECE), b"")
