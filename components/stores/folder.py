"""A directory of a file system."""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping

from components.errors import InputError
from components.files import append_line, replacing
from components.stores.store import Store

_LOCK = ".lock"
_PARTIAL = ".{}.partial"


class Folder(Store):
    """A directory is complete before it has its name; the lock is the kernel's, and ends with its holder."""

    def __init__(self, path: pathlib.Path) -> None:
        """Opens a directory, which need not exist."""
        self._path = path

    def location(self, name: str) -> str:
        """Returns the path."""
        return str(self._path / name)

    def names(self, directory: str = "") -> list[str]:
        """Lists a directory."""
        path = self._path / directory
        return sorted(each.name for each in path.iterdir()) if path.is_dir() else []

    def directories_with(self, file: str) -> list[str]:
        """Looks into each directory."""
        return [name for name in self.names() if (self._path / name / file).is_file()]

    def read(self, name: str) -> bytes | None:
        """Reads the file; None also if it cannot be read."""
        try:
            return (self._path / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces the file by a new one."""
        self._path.mkdir(parents=True, exist_ok=True)
        with replacing(self._path / name) as partial:
            partial.write_bytes(content)

    def append(self, name: str, line: str) -> None:
        """Adds the line in place."""
        self._path.mkdir(parents=True, exist_ok=True)
        append_line(self._path / name, line)

    def add(self, directory: str, files: Mapping[str, pathlib.Path]) -> None:
        """Gives the directory its name when all is on disk."""
        place = self._path / directory
        for left_over in place.parent.glob(_PARTIAL.format("*")):
            shutil.rmtree(left_over)
        partial = place.with_name(_PARTIAL.format(place.name))
        for name, source in files.items():
            copy = partial / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        _put_on_disk([*partial.rglob("*"), partial])
        partial.rename(place)
        _put_on_disk([place.parent])

    def remove(self, name: str) -> None:
        """Removes what is there: a directory loses its name first."""
        path = self._path / name
        if path.is_dir():
            partial = path.with_name(_PARTIAL.format(path.name))
            path.rename(partial)
            shutil.rmtree(partial)
        else:
            path.unlink(missing_ok=True)

    def fetch(self, name: str) -> pathlib.Path:
        """Returns the path: nothing is copied."""
        return self._path / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Takes the kernel's lock on a file, and waits for it as long as it takes."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            lock = (self._path / _LOCK).open("w")
        except OSError as error:
            raise InputError(f"{self._path} cannot be written ({error.strerror}).") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _put_on_disk(paths: Iterable[pathlib.Path]) -> None:
    """Waits until files and directories would survive a loss of power."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
