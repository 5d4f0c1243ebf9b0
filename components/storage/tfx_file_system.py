"""What TFX reads and writes by its own `fileio`, of URIs that TensorFlow no longer knows. Imports TFX."""

import contextlib
import fnmatch
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tfx.dsl.io import fileio, filesystem, filesystem_registry
from tfx.dsl.io.filesystem import PathType

from components.storage import files
from components.storage.uri import join, name_of, parent_of

_PRIORITY = 1  # TensorFlow's has 10, and claims these schemes, although of them it knows gs:// alone.


class StorageFileSystem(filesystem.Filesystem):
    """A file system of TFX's over `components.storage.files`; it has no empty folders."""

    SUPPORTED_SCHEMES = ["gs://", "s3://", "hdfs://"]

    @staticmethod
    def open(name: PathType, mode: str = "r") -> Any:
        """Opens a file, which is read at once or written when it is closed."""
        uri = os.fsdecode(name)
        if "w" in mode:
            return _Writer(uri)
        if "r" not in mode:
            raise ValueError(f"got the mode {mode!r}; nothing can be added to {uri}")
        with _missing():
            content = files.read_bytes(uri)
        return io.BytesIO(content) if "b" in mode else io.StringIO(content.decode())

    @staticmethod
    def copy(src: PathType, dst: PathType, overwrite: bool = False) -> None:
        """Copies a file."""
        source, target = os.fsdecode(src), os.fsdecode(dst)
        if not overwrite and files.is_file(target):
            raise OSError(f"{target} exists already")
        with _missing():
            files.copy(source, target)

    @staticmethod
    def exists(path: PathType) -> bool:
        """Tells whether there is a file or a folder."""
        return files.exists(os.fsdecode(path))

    @staticmethod
    def glob(pattern: PathType) -> list[PathType]:
        """Returns the files and folders that match, of which the last part may hold wildcards."""
        folder = parent_of(os.fsdecode(pattern))
        names = fnmatch.filter(_names(folder), name_of(os.fsdecode(pattern)))
        return [join(folder, name) for name in names]

    @staticmethod
    def isdir(path: PathType) -> bool:
        """Tells whether there is a folder."""
        return files.is_folder(os.fsdecode(path))

    @staticmethod
    def listdir(path: PathType) -> list[PathType]:
        """Lists a folder."""
        return list(_names(os.fsdecode(path)))

    @staticmethod
    def makedirs(path: PathType) -> None:
        """Does nothing."""

    @staticmethod
    def mkdir(path: PathType) -> None:
        """Does nothing."""

    @staticmethod
    def remove(path: PathType) -> None:
        """Removes a file."""
        files.remove(os.fsdecode(path))

    @staticmethod
    def rename(src: PathType, dst: PathType, overwrite: bool = False) -> None:
        """Copies a file or a folder, and removes the first."""
        StorageFileSystem.copy(src, dst, overwrite=overwrite)
        files.remove(os.fsdecode(src))

    @staticmethod
    def rmtree(path: PathType) -> None:
        """Removes a folder with all that is in it."""
        files.remove(os.fsdecode(path))

    @staticmethod
    def walk(
        top: PathType, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterable[tuple[PathType, list[PathType], list[PathType]]]:
        """Walks through the folders."""
        folder = os.fsdecode(top)
        folders, names = files.folder_names(folder), files.file_names(folder)
        if topdown:
            yield folder, list(folders), list(names)
        for each in folders:
            yield from StorageFileSystem.walk(join(folder, each), topdown, onerror)
        if not topdown:
            yield folder, list(folders), list(names)


class _Writer:
    """A file that is written when it is closed, unless by an error."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._content: io.BytesIO | None = io.BytesIO()

    def write(self, data: str | bytes) -> None:
        """Adds to the content."""
        if self._content is None:
            raise ValueError(f"{self._uri} is closed")
        self._content.write(data.encode() if isinstance(data, str) else data)

    def close(self) -> None:
        """Writes the file."""
        content, self._content = self._content, None
        if content is not None:
            files.write_bytes(self._uri, content.getvalue())

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None:
            self._content = None
        self.close()


def register() -> None:
    """Has TFX use this file system in this process."""
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(StorageFileSystem, priority=_PRIORITY)


def _names(folder: str) -> list[str]:
    return sorted([*files.folder_names(folder), *files.file_names(folder)])


@contextlib.contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise fileio.NotFoundError(str(error)) from error
