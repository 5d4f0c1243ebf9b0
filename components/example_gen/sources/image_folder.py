"""A folder of images, with a folder for each class."""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from components.errors import InputError
from components.example_gen import splitting
from components.example_gen.dated import is_dated, newest
from components.example_gen.source import NO_LABEL, Record, Skipped, Source, SourceSettings
from components.example_gen.splitting import SplitFractions
from components.layout import SPLITS

SUFFIXES = (".jpg", ".jpeg", ".png")

_OTHER_KIND = "not a .jpg, .jpeg or .png file"
_NO_CLASS = "not in a class folder"
_FOLDER = "a folder where only images are read"
_NO_SPLIT = "beside the split folders"


class ImageFolderData(SourceSettings):
    """`path/{train,validation,test}/CLASS/*` or `path/CLASS/*`, the latter split by fractions.

    Without `labels`, the images of train and validation need no class folders. A path that holds `{YYYY}`,
    `{MM}` and `{DD}` is the folder of the latest date.
    """

    location_key: ClassVar[str] = "path"

    source: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    split_fractions: SplitFractions = SplitFractions()

    def make_source(self) -> "ImageFolderSource":
        """Returns the folder; nothing is read yet."""
        return ImageFolderSource(self)


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """One thing that lies in the folder.

    Attributes:
      path: Relative to the folder, with forward slashes.
      label: The index of its class; `NO_LABEL` where there is none, or a problem.
      problem: Why it is left out, if it is.
    """

    path: str
    label: int = NO_LABEL
    problem: str | None = None


@dataclasses.dataclass(frozen=True)
class ImageFolderSource(Source):
    """`path/{train,validation,test}/CLASS/*`, or `path/CLASS/*` split by a hash of the file name.

    Without labels, the images of `path/train` and `path/validation` lie there, or in folders whose names
    are ignored.

    Hidden files are ignored; every other file that is no image is reported as skipped.
    """

    settings: ImageFolderData

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders, sorted."""
        return _folder_names(self._class_parent)

    def check(self) -> None:
        """Refuses a folder that is missing, empty, or not laid out as it should be."""
        self._check_folder()
        if self._has_split_folders():
            self._check_split_folders()
        self._check_classes()
        counts = {
            split: sum(file.problem is None for file in files) for split, files in self._files().items()
        }
        if not self._has_split_folders():
            splitting.check_none_empty(counts, fractions=self._fractions)
        for split, count in counts.items():
            if not count:
                where = "in class folders" if self._has_class_folders(split) else "in it"
                raise InputError(
                    f"data.path: {str(self._root / split)!r} holds no image; expected {_kinds()} files "
                    f"{where}."
                )

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file."""
        found = [file.path for files in self._files().values() for file in files]
        digest = hashlib.sha256()
        if is_dated(self.settings.path):
            digest.update(f"{self._root}\n".encode())
        for path in sorted(found):
            file = self._root / path
            stat = file.stat() if file.exists() else file.lstat()
            digest.update(f"{path!r} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def shards(self, split: str) -> list[tuple[FoundFile, ...]]:
        """Returns the shards of a split, as lists of files."""
        return splitting.in_shards(self._files()[split])

    def read(self, shard: tuple[FoundFile, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        for file in shard:
            yield self._read(file)

    @property
    def _fractions(self) -> dict[str, float]:
        return self.settings.split_fractions.model_dump()

    @functools.cached_property
    def _root(self) -> pathlib.Path:
        """The folder; of dated ones it is chosen once, and stays the same in every process."""
        path = self.settings.path
        return newest(path) if is_dated(path) else pathlib.Path(path).expanduser()

    @property
    def _name(self) -> str:
        """The folder as the user knows it: as it was given, or which of the dated ones was chosen."""
        return str(self._root) if is_dated(self.settings.path) else self.settings.path

    @property
    def _class_parent(self) -> pathlib.Path:
        """The folder whose folders are the classes."""
        if not self._has_split_folders():
            return self._root
        return self._root / ("train" if self.settings.labels else "test")

    def _has_split_folders(self) -> bool:
        return any((self._root / split).is_dir() for split in SPLITS)

    def _has_class_folders(self, split: str) -> bool:
        return self.settings.labels or split == "test"

    def _check_folder(self) -> None:
        given = f"data.path: got {self._name!r}, which"
        if not self._root.exists():
            raise InputError(f"{given} does not exist; give a folder of images.")
        if not self._root.is_dir():
            raise InputError(f"{given} is a file; give a folder of images.")
        if not _folder_names(self._root):
            raise InputError(
                f"{given} holds no class folders; expected CLASS/*.jpg in it, or train/CLASS/*.jpg, "
                "validation/CLASS/*.jpg and test/CLASS/*.jpg."
            )

    def _check_split_folders(self) -> None:
        found = _folder_names(self._root)
        for split in SPLITS:
            if split not in found:
                raise InputError(
                    f"data.path: {self._name!r} lacks the folder {split!r} (found: "
                    f"{', '.join(found)}); expected train, validation and test, or class folders alone."
                )
        if not self.settings.labels or not self.class_names:
            return
        for split in SPLITS[1:]:
            unknown = sorted(set(_folder_names(self._root / split)) - set(self.class_names))
            if unknown:
                raise InputError(
                    f"data.path: {str(self._root / split)!r} holds the class folder {unknown[0]!r}, which "
                    f"train lacks (it has: {', '.join(self.class_names)}); every class needs "
                    "images to train on."
                )

    def _check_classes(self) -> None:
        parent, names = self._class_parent, self.class_names
        if len(names) < 2:
            only = f"only the class folder {names[0]!r}" if names else "no class folders"
            way_out = (
                ""
                if names or not self.settings.labels
                else "; to distil without labels, set data.labels: false"
            )
            raise InputError(
                f"data.path: {str(parent)!r} holds {only}; a classifier needs at least two{way_out}."
            )
        for name in names:
            if not any(map(_is_image, _names(parent / name))):
                raise InputError(
                    f"data.path: {str(parent / name)!r} holds no {_kinds()} file; add images of the class, "
                    "or remove the folder."
                )

    def _files(self) -> dict[str, list[FoundFile]]:
        """Lists what lies in each split, ordered by hash so that classes come mixed."""
        if self._has_split_folders():
            members = {
                split: list(
                    self._list_classes(split) if self._has_class_folders(split) else self._list_any(split)
                )
                for split in SPLITS
            }
            members["train"].extend(
                FoundFile(name, problem=_NO_SPLIT) for name in _names(self._root) if name not in SPLITS
            )
            return {split: sorted(files, key=_position) for split, files in members.items()}
        files = {file.path: file for file in self._list_classes("")}
        assigned = splitting.assign(files, fractions=self._fractions)
        return {split: [files[path] for path in paths] for split, paths in assigned.items()}

    def _list_classes(self, parent: str) -> Iterator[FoundFile]:
        labels = {name: label for label, name in enumerate(self.class_names)}
        for name in _names(self._root / parent):
            path = f"{parent}/{name}" if parent else name
            if (self._root / path).is_dir():
                yield from self._list_images(path, labels.get(name, NO_LABEL))
            else:
                yield FoundFile(path, problem=_NO_CLASS)

    def _list_any(self, split: str) -> Iterator[FoundFile]:
        """Lists what lies in the folder of a split without labels, and in the folders there."""
        for file in self._list_images(split, NO_LABEL):
            if file.problem == _FOLDER:
                yield from self._list_images(file.path, NO_LABEL)
            else:
                yield file

    def _list_images(self, folder: str, label: int) -> Iterator[FoundFile]:
        for name in _names(self._root / folder):
            path = f"{folder}/{name}"
            if _is_image(name):
                yield FoundFile(path, label)
            else:
                is_folder = (self._root / path).is_dir()
                yield FoundFile(path, problem=_FOLDER if is_folder else _OTHER_KIND)

    def _read(self, file: FoundFile) -> Record | Skipped:
        name = _printable(file.path)
        if file.problem:
            return Skipped(name, file.problem)
        try:
            return Record(name, (self._root / file.path).read_bytes(), file.label)
        except OSError as error:
            return Skipped(name, f"cannot be read: {error.strerror}", corrupt=True)


def _names(folder: pathlib.Path) -> list[str]:
    try:
        names = [entry.name for entry in folder.iterdir()]
    except PermissionError:
        raise InputError(f"data.path: {str(folder)!r} may not be read; change its permissions.") from None
    return [name for name in names if not name.startswith(".")]


def _folder_names(folder: pathlib.Path) -> tuple[str, ...]:
    return tuple(sorted(name for name in _names(folder) if (folder / name).is_dir()))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _kinds() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def _position(file: FoundFile) -> float:
    return splitting.position(file.path)


def _printable(path: str) -> str:
    """Turns a file name that is not UTF-8 into text that is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
