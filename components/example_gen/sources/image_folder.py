"""A folder of images, with a folder for each class."""

import dataclasses
import datetime
import functools
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from components.errors import InputError
from components.example_gen import class_folders, image_files, split_names, splitting
from components.example_gen.class_folders import FoundFile, is_one_of, list_folders, list_names
from components.example_gen.source import NO_LABEL, Listing, Record, Skipped, Source, SourceSettings
from components.example_gen.spans import pattern
from components.example_gen.spans.source import SpansSource
from components.example_gen.spans.window import OnMissingSpan, WindowChoice
from components.example_gen.splitting import SplitFractions
from components.layout import SPLITS
from components.settings.base import PositiveInt, custom_error
from components.storage.listed import DataPath, data_path

_NO_SPLIT = "beside the split folders"
_NO_LABELS = "a split folder without class folders"
_LIST = "metadata.csv"


def _to_text(value: Any) -> Any:
    """Turns the name of a span into text where YAML has made a number or a date of it."""
    is_name = isinstance(value, int | datetime.date) and not isinstance(value, bool)
    return str(value) if is_name else value


class ImageFolderData(SourceSettings):
    """`path/{train,validation,test}/CLASS/*` or `path/CLASS/*`; what has no folder is held out of train.

    Without `labels`, the images of train and validation need no class folders.

    A path that holds `{SPAN}`, or `{YYYY}`, `{MM}` and `{DD}`, means many folders, of which the last `window`
    up to `span` are taken; None is the newest that is there.
    """

    location_key: ClassVar[str] = "path"

    source: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    span: Annotated[str, BeforeValidator(_to_text)] | None = None
    window: PositiveInt = 1
    on_missing_span: OnMissingSpan = "fail"
    split_fractions: SplitFractions = SplitFractions()

    @field_validator("path")
    @classmethod
    def _placeholders_are_those_of_spans(cls, path: str) -> str:
        problem = pattern.find_problem(path) if pattern.holds_span(path) else None
        if problem:
            raise custom_error(problem)
        return path

    @field_validator("span", "window", "on_missing_span")
    @classmethod
    def _path_has_spans(cls, value: Any, info: ValidationInfo) -> Any:
        path = info.data.get("path")
        is_default = value == cls.model_fields[str(info.field_name)].default
        if path is not None and not is_default and not pattern.holds_span(path):
            raise custom_error(
                "data.path is one folder; put {SPAN} or {YYYY}-{MM}-{DD} into it where its spans differ"
            )
        return value

    @field_validator("span")
    @classmethod
    def _span_has_a_name(cls, span: str | None, info: ValidationInfo) -> str | None:
        path = info.data.get("path")
        if span is not None and path is not None:
            try:
                pattern.to_position(path, span)
            except ValueError as error:
                raise custom_error(str(error)) from None
        return span

    @property
    def has_spans(self) -> bool:
        """Whether the images come span by span."""
        return pattern.holds_span(self.path)

    @property
    def may_have_spans(self) -> bool:
        """Whether the images could come span by span: a run on Kubeflow may name another path."""
        return True

    def make_source(self) -> Source:
        """Returns the folder, or the spans; nothing is read yet."""
        if not self.has_spans:
            return ImageFolderSource(self)
        return SpansSource(self._choice, fractions=self.split_fractions)

    def pinned(self) -> Self:
        """Returns settings that name the newest span, where the images come span by span."""
        return self.model_copy(update={"span": self._choice.newest()}) if self.has_spans else self

    @property
    def _choice(self) -> WindowChoice:
        return WindowChoice(
            self.path,
            last=self.span,
            size=self.window,
            on_missing=self.on_missing_span,
            left_out=self.beside,
        )


@dataclasses.dataclass(frozen=True)
class ImageFolderSource(Source):
    """`path/{train,validation,test}/CLASS/*`, or `path/CLASS/*`, at any depth below the class folder.

    A split without a folder is held out of train, by a hash of each path; where one folder lies beside
    train, it is the test split, whatever its name. Without labels, there is a test folder, and the images of
    train and validation lie anywhere in theirs.

    Hidden files are ignored; every other file that is no image is reported as skipped.
    """

    settings: ImageFolderData

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders, sorted."""
        parent = self._class_parent
        return tuple(name for name in list_folders(parent) if not self._is_beside(parent / name))

    def check(self) -> None:
        """Refuses a folder that is missing, empty, or not laid out as it should be."""
        self._check_folder()
        self._check_split_folders()
        self._check_number_of_classes()
        files = self._files()
        self._check_classes(files)
        counts = {split: sum(file.problem is None for file in files[split]) for split in SPLITS}
        splitting.check_none_empty(
            {split: counts[split] for split in ("train", *self._held_out)}, fractions=self._fractions
        )
        for split, folder in self._folders.items():
            if not counts[split]:
                where = "in class folders" if self._has_class_folders(split) else "in it"
                raise InputError(
                    f"data.path: {str(self._root / folder)!r} holds no image; expected "
                    f"{image_files.KINDS} files {where}."
                )

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file."""
        found = [file.path for files in self._files().values() for file in files]
        return image_files.fingerprint(self._root, found)

    def notes(self) -> list[str]:
        """Says which split is none of the user's folders of that name, and which folder is no split."""
        if not self._folders:
            return []
        notes = []
        if self._held_out:
            notes.append(
                split_names.describe_held_out(
                    self._held_out, fractions=self._fractions, train=f"{self._folders['train']}/"
                )
            )
        if split_names.split_of(self._folders.get("test", "")) == "validation":
            notes.append(f"{self._folders['test']}/ is the test split, which is only measured on")
        return notes + [f"{name}/ is left out: {_NO_LABELS}" for name in self._unlabelled_folders()]

    def listing(self, split: str) -> Listing:
        """Lists the files of a split without reading them."""
        files = self._files()[split]
        return Listing(
            labels=Counter(file.label for file in files if file.problem is None),
            skipped=tuple(
                Skipped(image_files.printable(file.path), file.problem) for file in files if file.problem
            ),
        )

    def shards(self, split: str) -> list[tuple[FoundFile, ...]]:
        """Returns the shards of a split, as lists of files."""
        return splitting.in_shards(self._files()[split])

    def read(self, shard: tuple[FoundFile, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        for file in shard:
            yield class_folders.read(file, root=self._root)

    @property
    def _fractions(self) -> dict[str, float]:
        return self.settings.split_fractions.model_dump()

    @functools.cached_property
    def _root(self) -> DataPath:
        return data_path(self.settings.path)

    @property
    def _class_parent(self) -> DataPath:
        """The folder whose folders are the classes."""
        return self._root / self._folders.get("train" if self.settings.labels else "test", "")

    @functools.cached_property
    def _folders(self) -> dict[str, str]:
        """The folder of each split that has one; empty where the class folders lie side by side.

        A class may be called as a split is, as long as its folder holds no others.
        """
        names = [name for name in list_folders(self._root) if not self._is_beside(self._root / name)]
        named = [name for name in names if split_names.split_of(name)]
        if len(named) < len(names) and not any(list_folders(self._root / name) for name in named):
            return {}
        unlabelled = self._unlabelled_folders()
        found = split_names.by_split(
            (name for name in named if name not in unlabelled), parent=self.settings.path
        )
        if self.settings.labels and "test" not in found and "validation" in found:
            found["test"] = found.pop("validation")
        return found

    @property
    def _held_out(self) -> list[str]:
        """The splits that are held out of train, for want of a folder."""
        return split_names.missing(self._folders)

    def _unlabelled_folders(self) -> list[str]:
        """The folders that might be the validation or the test split, but for their missing class folders."""
        if not self.settings.labels:
            return []
        return [
            name
            for name in list_folders(self._root)
            if split_names.split_of(name) in SPLITS[1:]
            and not list_folders(self._root / name)
            and any(map(image_files.is_image, list_names(self._root / name)))
        ]

    def _is_beside(self, folder: DataPath) -> bool:
        """Tells whether a folder is what `data.unlabelled` or `data.reference` names."""
        return is_one_of(folder, self.settings.beside)

    def _has_class_folders(self, split: str) -> bool:
        return self.settings.labels or split == "test"

    def _check_folder(self) -> None:
        given = f"data.path: got {self.settings.path!r}, which"
        image_files.check_folder(self._root, given=given, wanted="a folder of images")
        if not list_folders(self._root):
            raise InputError(
                f"{given} holds no class folders; expected CLASS/*.jpg in it, or train/CLASS/*.jpg, "
                "validation/CLASS/*.jpg and test/CLASS/*.jpg."
            )

    def _check_split_folders(self) -> None:
        needed = {"train"} if self.settings.labels else {"train", "test"}
        for split in SPLITS:
            if self._folders and split in needed - self._folders.keys():
                raise InputError(
                    f"data.path: {self.settings.path!r} lacks the folder {split!r} (found: "
                    f"{', '.join(list_folders(self._root))}); expected train, validation and test, or class "
                    "folders alone."
                )
        if not self.settings.labels or not self.class_names:
            return
        for folder in self._folders.values():
            unknown = sorted(set(list_folders(self._root / folder)) - set(self.class_names))
            if unknown:
                raise InputError(
                    f"data.path: {str(self._root / folder)!r} holds the class folder {unknown[0]!r}, which "
                    f"{self._folders['train']} lacks (it has: {', '.join(self.class_names)}); every class "
                    "needs images to train on."
                )

    def _check_number_of_classes(self) -> None:
        parent, names = self._class_parent, self.class_names
        if len(names) >= 2:
            return
        only, way_out = "no class folders", ""
        if names:
            only = f"only the class folder {names[0]!r}"
            below = _fork_below(parent / names[0])
            if below:
                way_out = f"; if the classes or the splits lie in {str(below)!r}, give that"
        elif (parent / _LIST).is_file():
            way_out = f"; to read the labels from its {_LIST}, set data.source: image_list"
        elif self.settings.labels:
            way_out = "; to distil without labels, set data.labels: false"
        raise InputError(
            f"data.path: {str(parent)!r} holds {only}; a classifier needs at least two{way_out}."
        )

    def _check_classes(self, files: dict[str, list[FoundFile]]) -> None:
        in_train = self.settings.labels or not self._folders
        splits = ("train", *self._held_out) if in_train else ("test",)
        found = {file.label for split in splits for file in files[split]}
        for label, name in enumerate(self.class_names):
            if label not in found:
                raise InputError(
                    f"data.path: {str(self._class_parent / name)!r} holds no {image_files.KINDS} file; "
                    "add images of the class, or remove the folder."
                )

    def _files(self) -> dict[str, list[FoundFile]]:
        """Lists what lies in each split, ordered by hash so that classes come mixed."""
        members = {split: list(self._list_split(split)) for split in SPLITS if split in self._folders}
        if self._folders:
            members["train"].extend(
                FoundFile(name, problem=_NO_LABELS if split_names.split_of(name) else _NO_SPLIT)
                for name in list_names(self._root)
                if name not in self._folders.values() and not self._is_beside(self._root / name)
            )
        else:
            members["train"] = list(self._list_classes(""))
        files = {file.path: file for file in members["train"]}
        fractions = {split: self._fractions[split] for split in ("train", *self._held_out)}
        for split, paths in splitting.assign(files, fractions=fractions).items():
            members[split] = [files[path] for path in paths]
        return {split: sorted(members[split], key=_position) for split in SPLITS}

    def _list_split(self, split: str) -> Iterator[FoundFile]:
        folder = self._folders[split]
        return (
            self._list_classes(folder)
            if self._has_class_folders(split)
            else class_folders.walk(self._root, folder, label=NO_LABEL)
        )

    def _list_classes(self, parent: str) -> Iterator[FoundFile]:
        labels = {name: label for label, name in enumerate(self.class_names)}
        return class_folders.list_classes(
            self._root, parent=parent, labels=labels, left_out=self.settings.beside
        )


def _fork_below(folder: DataPath) -> DataPath | None:
    """Goes down while there is only one folder, to one that holds several; None where there is none."""
    match list_folders(folder):
        case ():
            return None
        case (only,):
            return _fork_below(folder / only)
        case _:
            return folder


def _position(file: FoundFile) -> float:
    return splitting.position(file.path)
