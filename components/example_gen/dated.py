"""Folders that bear a date: which of them a path such as `photos/{YYYY}-{MM}-{DD}` means."""

import datetime
import pathlib
import re
from collections.abc import Iterator

from components.errors import InputError

_PARTS = {"{YYYY}": r"(?P<year>\d{4})", "{MM}": r"(?P<month>\d\d)", "{DD}": r"(?P<day>\d\d)"}
_PART = re.compile("|".join(map(re.escape, _PARTS)))


def is_dated(path: str) -> bool:
    """Tells whether a path holds a part of a date."""
    return _PART.search(path) is not None


def newest(path: str) -> pathlib.Path:
    """Returns the folder of the latest date.

    Args:
      path: With `{YYYY}`, `{MM}` and `{DD}`, each once, in place of the parts of the date.

    Raises:
      InputError: The path holds a part of the date twice or not at all, or there is no such folder.
    """
    found = _PART.findall(path)
    if sorted(found) != sorted(_PARTS):
        raise InputError(f"data.path: got {path!r}; a dated path holds each of {', '.join(_PARTS)} once.")
    parts = pathlib.Path(path).expanduser().parts
    first = next(number for number, part in enumerate(parts) if is_dated(part))
    folders = dict(_dated_folders(pathlib.Path(*parts[:first]), parts[first:]))
    if not folders:
        raise InputError(f"data.path: got {path!r}, but there is no folder of such a name; add one.")
    return folders[max(folders)]


def _dated_folders(
    root: pathlib.Path, parts: tuple[str, ...]
) -> Iterator[tuple[datetime.date, pathlib.Path]]:
    """Yields the date and the path of each folder below a root whose path matches the parts."""
    pattern = re.compile("/".join(map(_to_pattern, parts)))
    for folder in root.glob("/".join("*" for _ in parts)):
        match = pattern.fullmatch(folder.relative_to(root).as_posix())
        if match and folder.is_dir():
            try:
                yield datetime.date(*(int(match[part]) for part in ("year", "month", "day"))), folder
            except ValueError:  # Not a day of the calendar.
                continue


def _to_pattern(part: str) -> str:
    """Turns a part of the path into a regular expression."""
    texts, dates = _PART.split(part), [_PARTS[found] for found in _PART.findall(part)]
    return "".join(re.escape(text) + date for text, date in zip(texts, [*dates, ""], strict=True))
