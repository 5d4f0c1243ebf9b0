"""Files on this machine."""

import os
import pathlib
import shutil
from collections.abc import Iterator

from components.errors import InputError
from components.files import replacing
from components.storage.place import Entry, Place, pieces_of
from components.storage.uri import as_path


class Folder(Place):
    """The file systems of this machine."""

    def check_writable(self, uri: str) -> None:
        """Says why the folder cannot be written."""
        try:
            super().check_writable(uri)
        except OSError as error:
            raise InputError(f"{uri} cannot be written ({error.strerror}).") from None

    def is_file(self, uri: str) -> bool:
        """Asks the file system."""
        return as_path(uri).is_file()

    def is_folder(self, uri: str) -> bool:
        """Asks the file system."""
        return as_path(uri).is_dir()

    def names(self, uri: str) -> tuple[list[str], list[str]]:
        """Lists the directory."""
        path = as_path(uri)
        entries = sorted(path.iterdir()) if path.is_dir() else []
        return [each.name for each in entries if each.is_dir()], [
            each.name for each in entries if not each.is_dir()
        ]

    def files(self, uri: str) -> Iterator[Entry]:
        """Walks through the directories."""
        root = as_path(uri)
        for directory, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                file = pathlib.Path(directory, name)
                status = file.stat() if file.exists() else file.lstat()
                yield Entry(file.relative_to(root).as_posix(), status.st_size, str(status.st_mtime_ns))

    def pieces(self, uri: str) -> Iterator[bytes]:
        """Reads the file."""
        with as_path(uri).open("rb") as file:
            yield from pieces_of(file)

    def write_pieces(self, uri: str, pieces: Iterator[bytes]) -> None:
        """Replaces the file by a new one."""
        path = as_path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, alone=False) as partial, partial.open("wb") as file:
            file.writelines(pieces)

    def remove(self, uri: str) -> None:
        """Removes what is there."""
        path = as_path(uri)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
