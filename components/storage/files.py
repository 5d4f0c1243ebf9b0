"""Reading and writing files at a path or a URI: the one way to artifacts, and to data that may be elsewhere.

Nothing that a local path needs is imported for more than that.
"""

import functools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from components.files import to_json
from components.storage.folder import Folder
from components.storage.place import Entry, Place
from components.storage.uri import OBJECT_STORES, join, scheme_of

# Files that are copied at once: an object store answers each request after some time, and many in that time.
_AT_ONCE = 8


def place_of(uri: str) -> Place:
    """Returns the kind of place where something lies.

    Args:
      uri: A path; a URI of an object store, such as `s3://bucket/key`; or one of what Beam reaches, such as
        `hdfs://host/path`.
    """
    return _place(scheme_of(uri))


@functools.cache
def _place(scheme: str | None) -> Place:
    if scheme is None:
        return Folder()
    if scheme in OBJECT_STORES:
        from components.storage.objects import Objects

        return Objects()
    from components.storage.beam_files import BeamFiles

    return BeamFiles()


def is_file(uri: str) -> bool:
    """Tells whether there is a file."""
    return place_of(uri).is_file(uri)


def is_folder(uri: str) -> bool:
    """Tells whether there is a folder; in an object store that is one with something in it."""
    return place_of(uri).is_folder(uri)


def exists(uri: str) -> bool:
    """Tells whether there is a file or a folder."""
    return is_file(uri) or is_folder(uri)


def folder_names(uri: str) -> list[str]:
    """Returns the names of the folders in a folder, sorted; none where there is no folder."""
    return place_of(uri).names(uri)[0]


def file_names(uri: str) -> list[str]:
    """Returns the names of the files in a folder, sorted; none where there is no folder."""
    return place_of(uri).names(uri)[1]


def files_below(uri: str) -> Iterator[Entry]:
    """Yields all files below a folder, in any order; of an object store a thousand for each request."""
    return place_of(uri).files(uri)


def read_bytes(uri: str) -> bytes:
    """Reads a file.

    Raises:
      FileNotFoundError: It is not there.
    """
    return place_of(uri).read(uri)


def read_text(uri: str) -> str:
    """Reads a file of UTF-8; see `read_bytes`."""
    return read_bytes(uri).decode()


def read_json(uri: str) -> dict[str, Any]:
    """Reads a JSON file that holds an object; see `read_bytes`."""
    content: dict[str, Any] = json.loads(read_bytes(uri))
    return content


def write_bytes(uri: str, content: bytes) -> None:
    """Writes a file and the folders above it; until all of it is there, what was there before stays."""
    place_of(uri).write(uri, content)


def write_text(uri: str, text: str) -> None:
    """Writes a file of UTF-8; see `write_bytes`."""
    write_bytes(uri, text.encode())


def write_json(uri: str, content: dict[str, Any]) -> None:
    """Writes a JSON file; see `write_bytes`."""
    write_bytes(uri, to_json(content))


def remove(uri: str) -> None:
    """Removes a file, or a folder with all that is in it, or nothing where neither is."""
    place_of(uri).remove(uri)


def check_writable(uri: str) -> None:
    """Writes a small file into a folder and removes it again; an object store is not waited for.

    Raises:
      InputError: That is not possible.
    """
    place_of(uri).check_writable(uri)


def check_readable(uri: str) -> None:
    """Looks whether there is a folder; an object store is not waited for.

    Raises:
      InputError: One cannot look.
    """
    place_of(uri).check_readable(uri)


def size_of(uri: str) -> int:
    """Returns how many bytes all files below a folder have."""
    return sum(entry.size for entry in files_below(uri))


def copy(source: str, target: str) -> None:
    """Copies a file, or a folder with all that is in it; one that is there keeps what has other names.

    Of each file that is under way a few pieces are in memory, however large it is; see `PIECE`.

    Raises:
      FileNotFoundError: There is nothing to copy.
    """
    if is_file(source):
        _copy_file(source, target)
        return
    names = [entry.name for entry in files_below(source)]
    if not names and not is_folder(source):
        raise FileNotFoundError(source)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda name: _copy_file(join(source, name), join(target, name)), names))


def _copy_file(source: str, target: str) -> None:
    place_of(target).write_pieces(target, place_of(source).pieces(source))
