"""A place for files and directories that others read while it changes. Nothing here imports TensorFlow."""

import abc
import contextlib
import pathlib
from collections.abc import Mapping

from components.storage.uri import is_remote


class Store(abc.ABC):
    """Files and directories by their names, as in `7/saved_model.pb`; a file is there whole or not at all."""

    @abc.abstractmethod
    def location(self, name: str) -> str:
        """Returns the path or the URI of what has this name, whether it is there or not."""

    @abc.abstractmethod
    def names(self, directory: str = "") -> list[str]:
        """Returns the names of what lies in a directory; none where there is no such directory."""

    @abc.abstractmethod
    def directories_with(self, file: str) -> list[str]:
        """Returns the names of the directories in which there is a file of this name."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """Reads a file; None if it is not there."""

    @abc.abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Writes a file, at once: until all of it is there, what was there before stays."""

    @abc.abstractmethod
    def append(self, name: str, line: str) -> None:
        """Adds a line, given without its end, to a text file, which is made if need be."""

    @abc.abstractmethod
    def add(self, directory: str, files: Mapping[str, pathlib.Path]) -> None:
        """Copies files into a new directory. What an interrupted copy has left is removed first.

        Args:
          directory: Its name; there is none yet.
          files: From where each is copied, by its name in the directory. Whoever finds the last of them finds
            all others too.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file, or a directory with all that is in it."""

    @abc.abstractmethod
    def fetch(self, name: str) -> pathlib.Path:
        """Returns where on this machine a file or a directory lies: a copy, or the original."""

    @abc.abstractmethod
    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lets one process at a time change what is there; a lock does not outlive its holder for long.

        Raises:
          InputError: It cannot be written.
        """


def open_store(directory: str | pathlib.Path) -> Store:
    """Opens a directory, which need not exist.

    Args:
      directory: A path; or the URI of an object store, such as `s3://bucket/students`.
    """
    if is_remote(str(directory)):
        from components.stores.bucket import Bucket

        return Bucket(str(directory))
    from components.stores.folder import Folder

    return Folder(pathlib.Path(directory))
