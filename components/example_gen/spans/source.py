"""The images of several spans as one data set."""

import contextlib
import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.errors import InputError
from components.example_gen import class_folders, image_files, splitting
from components.example_gen.class_folders import FoundFile
from components.example_gen.source import Listing, Record, Skipped, Source
from components.example_gen.spans.pattern import Span
from components.example_gen.spans.window import Window, WindowChoice
from components.example_gen.split_names import split_of
from components.example_gen.splitting import SplitFractions
from components.layout import SPLITS
from components.storage.listed import DataPath


@dataclasses.dataclass(frozen=True)
class SpanFile:
    """One thing that lies in a span.

    Attributes:
      span: The name of the span.
      root: The folder of the span.
      file: What lies there.
    """

    span: str
    root: DataPath
    file: FoundFile

    @property
    def id(self) -> str:
        """Names it within the data set; the version of the span has no part in it."""
        return f"{self.span}/{self.file.path}"


@dataclasses.dataclass(frozen=True)
class SpansSource(Source):
    """`span/CLASS/*`, at any depth below the class folder, of each span of a window.

    The split of an image follows from a hash of its bytes. One that is delivered again, in another span,
    under another name or in another class, is then in the same split: what was once in the test split is
    never trained on, however far the window moves. A hash of its id would not do that.

    An image whose bytes are corrected in a new version of its span keeps its split, too: if no earlier
    version holds those bytes, those at the same path in the version before count. For that, earlier versions
    must stay. Bytes that correct an image of one span, and come by themselves in another, are two images to
    this.

    Attributes:
      choice: Which spans.
      fractions: The share of each split. When they change, images change their split.
    """

    choice: WindowChoice
    fractions: SplitFractions

    def __reduce__(self) -> tuple[Any, ...]:
        """Leaves what was found out of a pickle: a shard says all that is needed to read it."""
        return type(self), (self.choice, self.fractions)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders of all spans of the window, sorted."""
        names = {name for span in self._window.spans for name in self._class_folders(span)}
        return tuple(sorted(names))

    def check(self) -> None:
        """Refuses a window that lacks a span, spans with split folders, and classes without images."""
        for span in self._window.spans:
            self._check_layout(span)
        names = self.class_names
        if len(names) < 2:
            raise InputError(
                f"data.path: got {self.choice.path!r}, of whose spans {self._names} all images are of the "
                f"class {names[0]!r}; a classifier needs at least two."
            )
        found = {file.file.label for file in self._files if file.file.problem is None}
        for label, name in enumerate(names):
            if label not in found:
                raise InputError(
                    f"data.path: got {self.choice.path!r}, of whose spans {self._names} none holds a "
                    f"{image_files.KINDS} file of the class {name!r}; add some, or remove its folders."
                )

    def prepare(self) -> None:
        """Reads all images to find their splits, and refuses fractions that leave a split without any."""
        self.check()
        counts = {split: sum(self.listing(split).labels.values()) for split in SPLITS}
        splitting.check_none_empty(counts, fractions=self.fractions.model_dump())

    def fingerprint(self) -> str:
        """Returns a hash over the path, size and time of change of every file in all versions of a span."""
        digest = hashlib.sha256(repr(self._window.missing).encode())
        for span in self._window.spans:
            for version, folder in span.versions.items():
                found = [file.path for file in self._list(folder)]
                about = f"{span.name} {version}\n"
                digest.update(image_files.fingerprint(folder, found, about=about).encode())
        return digest.hexdigest()[:16]

    def notes(self) -> list[str]:
        """Says which spans are missing."""
        return [f"{problem}, and is left out" for problem in self._window.missing]

    def spans(self) -> Sequence[Span]:
        """Returns the spans of the window, the newest last."""
        return self._window.spans

    def listing(self, split: str) -> Listing:
        """Lists the files of a split."""
        files = self._members[split]
        return Listing(
            labels=Counter(each.file.label for each in files if each.file.problem is None),
            skipped=tuple(
                Skipped(image_files.printable(each.id), each.file.problem)
                for each in files
                if each.file.problem
            ),
        )

    def shards(self, split: str) -> list[tuple[SpanFile, ...]]:
        """Returns the shards of a split, as lists of files."""
        return splitting.in_shards(self._members[split])

    def read(self, shard: tuple[SpanFile, ...]) -> Iterator[Record | Skipped]:
        """Reads the files of one shard."""
        for each in shard:
            yield class_folders.read(each.file, root=each.root, prefix=f"{each.span}/")

    @functools.cached_property
    def _window(self) -> Window:
        """The window, which is looked for once."""
        return self.choice.find()

    @property
    def _names(self) -> str:
        return ", ".join(span.name for span in self._window.spans)

    def _class_folders(self, span: Span) -> list[str]:
        return [
            name
            for name in class_folders.list_folders(span.folder)
            if not class_folders.is_one_of(span.folder / name, self.choice.left_out)
        ]

    def _check_layout(self, span: Span) -> None:
        names = self._class_folders(span)
        named = [name for name in names if split_of(name)]
        holds_folders = any(class_folders.list_folders(span.folder / name) for name in named)
        if named and (holds_folders or named == names):
            raise InputError(
                f"data.path: {str(span.folder)!r} holds the split folder {named[0]!r}, but the split of an "
                "image in a span follows from its content, for good; put the class folders side by side."
            )

    def _list(self, folder: DataPath) -> Iterator[FoundFile]:
        labels = {name: label for label, name in enumerate(self.class_names)}
        return class_folders.list_classes(folder, labels=labels, left_out=self.choice.left_out)

    @functools.cached_property
    def _files(self) -> list[SpanFile]:
        """All that lies in the newest version of each span."""
        return [
            SpanFile(span.name, span.folder, file)
            for span in self._window.spans
            for file in self._list(span.folder)
        ]

    @functools.cached_property
    def _members(self) -> dict[str, list[SpanFile]]:
        """The files of each split, ordered by a hash of their ids so that classes and spans come mixed."""
        keys = {
            f"{span.name}/{path}": key
            for span in self._window.spans
            for path, key in self._keys(span).items()
        }
        assigned = splitting.assign(set(keys.values()), fractions=self.fractions.model_dump())
        splits = {key: split for split, members in assigned.items() for key in members}
        members: dict[str, list[SpanFile]] = {split: [] for split in SPLITS}
        for file in sorted(self._files, key=lambda file: splitting.position(file.id)):
            members[splits[keys[file.id]] if file.id in keys else "train"].append(file)
        return members

    def _keys(self, span: Span) -> Mapping[str, str]:
        """Returns what decides the split of each image of a span, by its path; of unreadable ones nothing."""
        keys: dict[str, str] = {}  # By the path, of the version before.
        key_of: dict[str, str] = {}  # By the hash of the bytes, of all versions so far.
        for folder in span.versions.values():
            hashes = _hash_images(folder, self._list(folder))
            new = {content: keys.get(path, content) for path, content in reversed(hashes.items())}
            key_of = new | key_of
            keys = {path: key_of[content] for path, content in hashes.items()}
        return keys


def _hash_images(folder: DataPath, files: Iterable[FoundFile]) -> dict[str, str]:
    """Returns a hash of the bytes of each image, by its path, sorted; of empty and unreadable files none."""
    hashes = {}
    for path in sorted(file.path for file in files if file.problem is None):
        with contextlib.suppress(OSError):
            content = (folder / path).read_bytes()
            if content:
                hashes[path] = hashlib.sha256(content).hexdigest()
    return hashes
