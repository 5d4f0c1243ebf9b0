"""The spans that a run takes."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Literal

from components.errors import MissingSpanError, first_few
from components.example_gen import class_folders, image_files
from components.example_gen.spans.pattern import Span, is_numbered, list_spans, to_name, to_position
from components.files import is_there
from components.storage.listed import DataPath

_NAMED = 5

OnMissingSpan = Literal["fail", "skip"]


@dataclasses.dataclass(frozen=True)
class Window:
    """What a run takes.

    Attributes:
      spans: Those that are there, the newest last.
      missing: In a few words, which are not, or hold no image.
    """

    spans: Sequence[Span]
    missing: Sequence[str]


@dataclasses.dataclass(frozen=True)
class WindowChoice:
    """Which spans a run takes.

    Attributes:
      path: With placeholders, `data.path`.
      last: The name of the newest span, `data.span`; None for the newest that is there.
      size: How many spans up to it, `data.window`.
      on_missing: Whether to go on without those that are missing, `data.on_missing_span`.
      left_out: Folders in a span that are no class, such as `data.unlabelled`.
    """

    path: str
    last: str | None = None
    size: int = 1
    on_missing: OnMissingSpan = "fail"
    left_out: Sequence[str] = ()

    def newest(self) -> str:
        """Returns the name of the newest span: the one that is asked for, or else the newest that is there.

        Raises:
          MissingSpanError: None is asked for, and none is there.
        """
        return self.last if self.last is not None else to_name(self.path, max(self._list()))

    def find(self) -> Window:
        """Looks for the spans.

        A span is missing if there is no folder for it, or its newest version holds no image in a class
        folder, as files without a byte are none: an older version never stands in for it. Numbers follow
        each other, so that one between the oldest that is there and the newest of the window is missed.
        Dates need not: data may come on workdays, every Sunday or when there are enough, and nothing says on
        which days they should. So only a date that is asked for by its name can lack its folder.

        Raises:
          MissingSpanError: A span is missing and may not be, or none is left.
        """
        found = self._list()
        problems = {position: self._find_problem(found.get(position)) for position in self._positions(found)}
        window = Window(
            spans=[found[position] for position, problem in problems.items() if problem is None],
            missing=[
                f"span {to_name(self.path, position)} {problem}"
                for position, problem in problems.items()
                if problem
            ],
        )
        if window.missing and (self.on_missing == "fail" or not window.spans):
            raise MissingSpanError(self._explain(window))
        return window

    def _list(self) -> dict[int, Span]:
        """Lists the spans that are there, by their positions; some, if none is asked for by its name."""
        found = list_spans(self.path)
        if not found and self.last is None:
            raise MissingSpanError(
                f"data.path: got {self.path!r}, but there is no folder of such a name; add one."
            )
        return found

    def _positions(self, found: Collection[int]) -> Sequence[int]:
        """Returns where the spans of the window should be, in order; none lies before the oldest there is."""
        last = max(found) if self.last is None else to_position(self.path, self.last)
        if is_numbered(self.path):
            return range(min([*found, last]), last + 1)[-self.size :]
        return sorted(position for position in {*found, last} if position <= last)[-self.size :]

    def _explain(self, window: Window) -> str:
        way_out = "name another as data.span"
        if window.spans:
            way_out = "set data.on_missing_span: skip to go on with the other spans of the window"
        return (
            f"data.path: got {self.path!r}, but {first_few(window.missing, most=_NAMED)}; add images, or "
            f"{way_out}."
        )

    def _find_problem(self, span: Span | None) -> str | None:
        if span is None:
            return "is missing"
        files = class_folders.list_classes(span.folder, left_out=self.left_out)
        if any(file.problem is None and _is_filled(span.folder / file.path) for file in files):
            return None
        return f"holds no {image_files.KINDS} file in a class folder"


def _is_filled(file: DataPath) -> bool:
    """Tells whether there is anything in a file, as there is not if it was not copied to its end."""
    return is_there(file) and file.stat().st_size > 0
