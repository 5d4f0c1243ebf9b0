"""What went wrong through the user's input, as opposed to a fault of ours."""

import difflib
from collections.abc import Iterable, Sequence


def suggest(name: object, known: Iterable[str]) -> str:
    """Returns `; did you mean ...?` for the known name most like another, be it of other case, or nothing."""
    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[close[0]]!r}?" if close else ""


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or the name of its type if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def first_few(names: Sequence[str], *, most: int = 3) -> str:
    """Lists names for a message, and says how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that names what was given, what was expected and the way out.
    It is shown to the user without a traceback; every other exception is a fault and keeps its own.
    """


class MissingSpanError(InputError):
    """A span of the data is not there, or holds no image: it may be late, and come yet."""


class EmptySplitError(InputError):
    """A split would have no image: there are too few of them, or its share is too small."""


class LostEngineError(InputError):
    """What did the work of a node was lost in the middle, through no fault of what the user gave."""


class DriftError(InputError):
    """The data has drifted further from what the champion was trained on than the user allows."""
