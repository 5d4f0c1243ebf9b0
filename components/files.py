"""Reading and writing small files: whole or not at all, or line by line."""

import contextlib
import hashlib
import json
import os
import pathlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

_PARTIAL: Final = ".partial"


class Place(Protocol):
    """What is needed of a path to look at it."""

    def is_dir(self) -> bool:
        """Tells whether there is a folder."""

    def exists(self) -> bool:
        """Tells whether there is anything."""


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes a JSON file; see `write_text`."""
    write_text(path, to_json(content).decode())


def to_json(content: dict[str, Any]) -> bytes:
    """Returns the content of a JSON file."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file; until all of it is written, what was there before stays.

    Args:
      path: The file; its directory exists.
      text: Its content, written as UTF-8.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(path: pathlib.Path, *, alone: bool = True) -> Iterator[pathlib.Path]:
    """Replaces a file at once: until all of the new one is on disk, what was there before stays.

    Args:
      path: The file; its directory exists.
      alone: Whether nobody else may be writing it; then what a kill has left is written over.

    Yields:
      Where to write the new one. It is removed if writing fails.
    """
    partial = path.with_name(partial_name(path.name, alone=alone))
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def partial_name(name: str, *, alone: bool) -> str:
    """Returns the name that a file has while it is being written; arguments as in `replacing`."""
    writer = "" if alone else f".{uuid.uuid4().hex}"
    return f".{name}{writer}{_PARTIAL}"


def is_partial(name: str) -> bool:
    """Tells whether a file has such a name; see `partial_name`."""
    return name.startswith(".") and name.endswith(_PARTIAL)


def append_line(path: pathlib.Path, line: str) -> None:
    """Adds a line to a file, after one that may have been cut short, and puts it on disk.

    Args:
      path: The file, made if need be; its directory exists.
      line: Without its end, written as UTF-8.
    """
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        torn = b""
        if size:
            file.seek(-1, os.SEEK_END)
            torn = b"" if file.read(1) == b"\n" else b"\n"
        file.write(torn + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sha256(path: str | pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_all(paths: Iterable[str | pathlib.Path]) -> str:
    """Returns the SHA-256 of the content of files in their order, in hexadecimal."""
    return hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()


def expand_user(path: str) -> pathlib.Path:
    """Puts a user's home in the place of `~`; where there is no such user, the path stays as it is."""
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        return pathlib.Path(path)


def is_folder(path: Place) -> bool:
    """Tells whether there is a folder, as far as one may look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Place) -> bool:
    """Tells whether there is anything at a path, as far as one may look and names may be so long."""
    try:
        return path.exists()
    except OSError:
        return False
