"""Folders that are classes: what lies in them, at any depth."""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from components.errors import InputError
from components.example_gen import image_files
from components.example_gen.source import NO_LABEL, Record, Skipped
from components.files import is_folder
from components.storage.listed import DataPath, data_path

_NO_CLASS = "not in a class folder"
_LOOP = "a link to a folder that it lies in"


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """One thing that lies in a folder.

    Attributes:
      path: Relative to the folder, with forward slashes.
      label: The index of its class; `NO_LABEL` where there is none, or a problem.
      problem: Why it is left out, if it is.
    """

    path: str
    label: int = NO_LABEL
    problem: str | None = None


def list_names(folder: DataPath) -> list[str]:
    """Lists what lies in a folder, but for what is hidden.

    Raises:
      InputError: One may not look.
    """
    try:
        found = [entry.name for entry in folder.iterdir()]
        if isinstance(folder, pathlib.Path) and not os.access(folder, os.X_OK):
            raise PermissionError
    except PermissionError:
        raise InputError(f"{str(folder)!r} may not be read; change its permissions.") from None
    return [name for name in found if not name.startswith(".")]


def list_folders(folder: DataPath) -> tuple[str, ...]:
    """Lists the folders in a folder, sorted."""
    return tuple(sorted(name for name in list_names(folder) if is_folder(folder / name)))


def is_one_of(folder: DataPath, paths: Collection[str]) -> bool:
    """Tells whether one of some paths of the user's leads to a folder."""
    return any(folder.resolve() == data_path(path).resolve() for path in paths)


def list_classes(
    root: DataPath,
    *,
    parent: str = "",
    labels: Mapping[str, int] = MappingProxyType({}),
    left_out: Collection[str] = (),
) -> Iterator[FoundFile]:
    """Lists what lies in the class folders of a folder, and what lies beside them.

    Args:
      root: To which the paths are relative.
      parent: The folder of the class folders, relative to it.
      labels: The label of each class by the name of its folder.
      left_out: The paths of folders that are none of them, such as `data.unlabelled`.
    """
    for name in list_names(root / parent):
        path = f"{parent}/{name}" if parent else name
        if is_one_of(root / path, left_out):
            continue
        if is_folder(root / path):
            yield from walk(root, path, label=labels.get(name, NO_LABEL))
        else:
            yield FoundFile(path, problem=_NO_CLASS)


def walk(root: DataPath, folder: str, *, label: int, above: tuple[DataPath, ...] = ()) -> Iterator[FoundFile]:
    """Lists what lies in a folder and in those below it.

    Args:
      root: To which the paths are relative.
      folder: Relative to it.
      label: That of all images there.
      above: The folders that it lies in, as far as they were walked through.
    """
    place = (root / folder).resolve()
    if place in above:
        yield FoundFile(folder, problem=_LOOP)
        return
    for name in list_names(place):
        path = f"{folder}/{name}"
        if is_folder(place / name):
            yield from walk(root, path, label=label, above=(*above, place))
        else:
            problem = image_files.find_problem(place / name)
            yield FoundFile(path, NO_LABEL if problem else label, problem)


def read(file: FoundFile, *, root: DataPath, prefix: str = "") -> Record | Skipped:
    """Reads an image.

    Args:
      file: Where it is.
      root: The folder to which its path is relative.
      prefix: What its id begins with, before its path.
    """
    name = image_files.printable(f"{prefix}{file.path}")
    if file.problem:
        return Skipped(name, file.problem)
    try:
        return Record(name, (root / file.path).read_bytes(), file.label)
    except OSError as error:
        return Skipped(name, f"cannot be read: {error.strerror}", corrupt=True)
