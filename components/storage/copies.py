"""Copies on this machine of what lies elsewhere, for libraries that know nothing but paths."""

import contextlib
import functools
import os
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.util import Finalize

from components.files import is_partial, replacing
from components.storage.files import file_names, files_below, is_file, place_of, remove
from components.storage.uri import as_path, is_remote, join, name_of, parent_of

_parent: str | None = None  # Where copies are made; None is the directory of the system.
_AT_ONCE = 8  # A large file goes in parts, several of them at once.
_LOCK = threading.Lock()
_COPIES: dict[tuple[int, str], pathlib.Path] = {}  # By process and URI; a fork has none of its parent's.


@contextlib.contextmanager
def kept_in(directory: pathlib.Path) -> Iterator[None]:
    """Has this process make its copies in a directory, which is removed, with what a kill has left there.

    Args:
      directory: Nobody else uses it.
    """
    global _parent
    shutil.rmtree(directory, ignore_errors=True)
    _parent = str(directory)
    try:
        yield
    finally:
        _parent = None
        _COPIES.clear()
        _directory_of.cache_clear()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def temporary_directory() -> Iterator[pathlib.Path]:
    """Makes a directory that ends with the context."""
    directory = pathlib.Path(_make_directory())
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def local_copy(uri: str) -> pathlib.Path:
    """Returns where on this machine a file or a folder lies: the original, or else a copy.

    It is copied once in a process, by itself or in a folder that is, and removed when that ends. So it is for
    what no longer changes.

    Args:
      uri: A path or URI. Of a folder in which nothing is the copy is empty.
    """
    if not is_remote(uri):
        return as_path(uri)
    uri, process = uri.rstrip("/"), os.getpid()
    with _LOCK:
        copy = _find_copy(uri, process=process)
        if copy is None:
            copy = _COPIES[process, uri] = _copy_into(_directory_of(process), uri)
        return copy


def origin_of(path: str) -> str:
    """Returns what a path in a copy of this process is a copy of, for messages; any other as it is."""
    for (_, uri), copy in list(_COPIES.items()):
        if pathlib.Path(path).is_relative_to(copy):
            return join(uri, *pathlib.Path(path).relative_to(copy).parts)
    return path


def _find_copy(uri: str, *, process: int) -> pathlib.Path | None:
    """Returns where a process has a copy, be it in that of a folder."""
    folder, names = uri, list[str]()
    while is_remote(folder):
        copy = _COPIES.get((process, folder))
        found = copy and copy.joinpath(*names)
        if found and found.exists():
            return found
        names.insert(0, name_of(folder))
        folder = parent_of(folder) if "/" in folder.partition("://")[2] else ""
    return None


def _copy_into(directory: str, uri: str) -> pathlib.Path:
    copy = pathlib.Path(tempfile.mkdtemp(dir=directory)) / name_of(uri)
    if is_file(uri):
        place_of(uri).download(uri, copy)
        return copy
    copy.mkdir()
    _download(uri, copy)
    return copy


def _download(uri: str, directory: pathlib.Path) -> None:
    names = [entry.name for entry in files_below(uri)]
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda name: place_of(uri).download(join(uri, name), directory / name), names))


@contextlib.contextmanager
def fresh_copy(uri: str) -> Iterator[pathlib.Path]:
    """Copies a folder as it is now, for a while; one on this machine is given as it is.

    Args:
      uri: A path or URI.
    """
    if not is_remote(uri):
        yield as_path(uri)
        return
    with temporary_directory() as directory:
        _download(uri, directory)
        yield directory


@contextlib.contextmanager
def written_back(uri: str, *, last: Sequence[str] = ()) -> Iterator[pathlib.Path]:
    """Lets a folder be written on this machine, and copies it to its place at the end.

    Args:
      uri: A path, which is written itself, or a URI.
      last: The names of files, as far as they are written, that say that all others are there: copied after
        these, and in this order.

    Yields:
      The folder. Nothing is copied if writing fails.
    """
    if not is_remote(uri):
        path = as_path(uri)
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with temporary_directory() as directory:
        yield directory
        upload(directory, uri, last=last)


@contextlib.contextmanager
def replaced(uri: str) -> Iterator[pathlib.Path]:
    """Lets a file be written on this machine, and puts it in its place at the end, whole or not at all.

    Several may write one file at the same time, as a worker does that was taken for lost: the last counts.

    Args:
      uri: A path or URI; the folders above it are made.
    """
    if not is_remote(uri):
        as_path(uri).parent.mkdir(parents=True, exist_ok=True)
        with replacing(as_path(uri), alone=False) as partial:
            yield partial
        return
    with temporary_directory() as directory:
        file = directory / name_of(uri)
        yield file
        place_of(uri).upload(file, uri)


def remove_partial(files: Iterable[str]) -> None:
    """Removes what writers that were killed have left beside some files; see `replaced`.

    It is hidden, but Beam would read it as one of the files there.
    """
    for folder in {parent_of(file) for file in files}:
        for name in filter(is_partial, file_names(folder)):
            remove(join(folder, name))


def upload(directory: pathlib.Path, uri: str, *, last: Sequence[str] = ()) -> None:
    """Copies all files of a folder of this machine to a URI; arguments as in `written_back`."""
    names = [entry.name for entry in files_below(str(directory))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        first = [name for name in names if name not in last]
        list(pool.map(lambda name: place_of(uri).upload(directory / name, join(uri, name)), first))
    for name in last:
        if name in names:
            place_of(uri).upload(directory / name, join(uri, name))


def directory_of_process() -> pathlib.Path:
    """Returns a directory that ends with this process."""
    return pathlib.Path(_directory_of(os.getpid()))


def _make_directory() -> str:
    if _parent is not None:
        pathlib.Path(_parent).mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix="distill-", dir=_parent)


@functools.cache
def _directory_of(process: int) -> str:
    """Returns a directory that ends with a process; a fork has another than its parent."""
    directory = _make_directory()
    Finalize(None, shutil.rmtree, args=(directory,), kwargs={"ignore_errors": True}, exitpriority=0)
    return directory
