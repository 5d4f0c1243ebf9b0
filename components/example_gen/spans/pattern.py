"""Paths that mean many folders: `photos/{SPAN}`, `photos/{YYYY}-{MM}-{DD}`, `photos/{SPAN}/v{VERSION}`."""

import dataclasses
import datetime
import re
from collections.abc import Iterator

from components.errors import InputError
from components.files import expand_user
from components.storage.files import folder_names
from components.storage.listed import DataPath, data_path
from components.storage.uri import is_remote, join

_NUMBER, _VERSION = "{SPAN}", "{VERSION}"
_DATE = ("{YYYY}", "{MM}", "{DD}")
_PARTS = {
    _NUMBER: r"(?P<span>[0-9]+)",
    "{YYYY}": r"(?P<year>[0-9]{4})",
    "{MM}": r"(?P<month>[0-9]{2})",
    "{DD}": r"(?P<day>[0-9]{2})",
    _VERSION: r"(?P<version>[0-9]+)",
}
_PART = re.compile("|".join(map(re.escape, _PARTS)))


@dataclasses.dataclass(frozen=True)
class Span:
    """What was delivered at once.

    Attributes:
      name: Its number without leading zeros, or its date, as in 2026-11-22.
      versions: The folder of each version, the newest last; a path without `{VERSION}` has one, called None.
    """

    name: str
    versions: dict[int | None, DataPath]

    def __str__(self) -> str:
        """Names it for the user, with its version if it has one."""
        return self.name if self.version is None else f"{self.name} (version {self.version})"

    @property
    def version(self) -> int | None:
        """The newest version."""
        return list(self.versions)[-1]

    @property
    def folder(self) -> DataPath:
        """The folder of the newest version."""
        return self.versions[self.version]


def holds_span(path: str) -> bool:
    """Tells whether a path holds a placeholder, and so means many folders."""
    return _PART.search(path) is not None


def find_problem(path: str) -> str | None:
    """Says in what way the placeholders of a path are not those of spans."""
    found = _PART.findall(path)
    spans = sorted(part for part in found if part != _VERSION)
    if found.count(_VERSION) < 2 and spans in ([_NUMBER], sorted(_DATE)):
        return None
    return (
        f"a path of spans holds {_NUMBER} once, or each of {', '.join(_DATE)} once, and {_VERSION} at most "
        "once"
    )


def is_numbered(path: str) -> bool:
    """Tells whether the spans of a path are numbered, as opposed to dated."""
    return _NUMBER in path


def to_position(path: str, name: str) -> int:
    """Returns the place of a span among the others: its number, or the number of its day.

    Args:
      path: With placeholders, which say what a name is.
      name: A whole number, or a date as in 2026-11-22.

    Raises:
      ValueError: It is no such name; the message says what it must be.
    """
    if is_numbered(path):
        if not (name.isascii() and name.isdecimal()):
            raise ValueError(f"must be a whole number, as data.path holds {_NUMBER}")
        return int(name)
    try:
        return datetime.date.fromisoformat(name).toordinal()
    except ValueError:
        raise ValueError("must be a date such as 2026-11-22, as data.path holds one") from None


def to_name(path: str, position: int) -> str:
    """Returns the name of the span at a place."""
    return str(position) if is_numbered(path) else str(datetime.date.fromordinal(position))


def list_spans(path: str) -> dict[int, Span]:
    """Lists the spans that are there, in order, by their positions.

    Args:
      path: With placeholders that `find_problem` finds nothing wrong with.

    Raises:
      InputError: Two folders are the same span in the same version, such as `7` and `07`.
    """
    versions: dict[int, dict[int | None, DataPath]] = {}
    for position, version, folder in sorted(_folders(path), key=lambda found: (found[0], found[1] or 0)):
        known = versions.setdefault(position, {})
        if version in known:
            first, second = sorted((str(known[version]), str(folder)))
            raise InputError(
                f"data.path: got {path!r}, but {first!r} and {second!r} are both span "
                f"{to_name(path, position)}; rename or remove one of them."
            )
        known[version] = folder
    return {position: Span(to_name(path, position), known) for position, known in versions.items()}


def _folders(path: str) -> Iterator[tuple[int, int | None, DataPath]]:
    """Yields the position, the version and the path of each folder that a path means."""
    parts = str(path if is_remote(path) else expand_user(path)).rstrip("/").split("/")
    first = next(number for number, part in enumerate(parts) if holds_span(part))
    root = "/".join(parts[:first]) or ("/" if first else ".")
    pattern = re.compile("/".join(map(_to_expression, parts[first:])))
    for name in _names_below(root, levels=len(parts) - first):
        match = pattern.fullmatch(name)
        if match:
            found = match.groupdict()
            version = found.get("version")
            try:
                position = _position_of(found)
            except ValueError:  # Not a day of the calendar.
                continue
            yield position, None if version is None else int(version), data_path(join(root, name))


def _names_below(root: str, *, levels: int) -> Iterator[str]:
    """Yields the paths of the folders so many levels below one, relative to it, as far as one may look."""
    try:
        names = folder_names(root)
    except PermissionError:
        return
    for name in names:
        if levels == 1:
            yield name
        else:
            yield from (f"{name}/{below}" for below in _names_below(join(root, name), levels=levels - 1))


def _position_of(found: dict[str, str]) -> int:
    if "span" in found:
        return int(found["span"])
    return datetime.date(*(int(found[part]) for part in ("year", "month", "day"))).toordinal()


def _to_expression(part: str) -> str:
    """Turns a part of the path into a regular expression."""
    texts, found = _PART.split(part), [_PARTS[each] for each in _PART.findall(part)]
    return "".join(re.escape(text) + each for text, each in zip(texts, [*found, ""], strict=True))
