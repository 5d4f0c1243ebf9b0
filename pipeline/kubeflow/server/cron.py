"""Cron expressions as Kubeflow Pipelines understands them, and when they fall due.

Kubeflow reads them with version 1 of Go's `robfig/cron`, which differs from what people know: seconds come
first, and of five fields it takes the first for seconds and the last for the month. Days of the week end
with 6, Saturday, and times are in UTC.
"""

import dataclasses
import datetime
import re
from collections.abc import Iterator
from itertools import islice

from cronsim import CronSim, CronSimError

from components.errors import InputError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TERM = re.compile(r"([*?]|(?P<first>[A-Za-z0-9]+)(-(?P<last>[A-Za-z0-9]+))?)(/0*(?P<step>[0-9]+))?")
_EXAMPLE = "'0 0 3 * * *' is every day at 03:00 UTC"
# robfig/cron gives up looking for the next time after so many years.
_HORIZON = 5


@dataclasses.dataclass(frozen=True)
class _Field:
    """One of the six fields: its numbers from `low` to `high`, names for them, and other numbers for `low`.

    `aliases` is how many numbers above `high` people may write for `low`: 7 for Sunday.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    aliases: int = 0

    def normalise(self, text: str) -> str:
        """Writes the field so that Kubeflow and `cronsim` agree on it."""
        return ",".join(self._normalise_term(term) for term in text.split(","))

    def _normalise_term(self, term: str) -> str:
        match = _TERM.fullmatch(term)
        if match is None or match["step"] == "0":
            raise self._refusal(term)
        first, last, step = match["first"], match["last"], match["step"]
        if first is None:
            return f"*/{step}" if step else "*"
        low = self._number(first, term)
        if last is None and step is None:
            return str(self._known(low))
        # `N/step` goes on from N to the largest number.
        high = self._number(last, term) if last else max(low, self.high)
        if low > high:
            raise self._refusal(term)
        if high > self.high:
            return ",".join(str(self._known(number)) for number in range(low, high + 1, int(step or 1)))
        return f"{low}-{high}" + (f"/{step}" if step else "")

    def _number(self, word: str, term: str) -> int:
        if word.upper() in self.names:
            return self.low + self.names.index(word.upper())
        if not word.isdecimal() or not self.low <= int(word) <= self.high + self.aliases:
            raise self._refusal(term)
        return int(word)

    def _known(self, number: int) -> int:
        return number if number <= self.high else self.low

    def _refusal(self, term: str) -> InputError:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return InputError(
            f"{self.name} {term!r} is not allowed; allowed: {self.low} to {self.high + self.aliases}{names}, "
            "*, ranges a-b, steps a-b/n and lists a,b"
        )


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _WEEKDAYS, aliases=1),
)


def parse_cron(text: str, *, now: datetime.datetime) -> str:
    """Reads a cron expression of five fields, or of six with seconds first.

    Args:
      text: The expression. In the day of the week 0 and 7 are Sunday; `?` is the same as `*`.
      now: The current time, with a time zone.

    Returns:
      The same times as six fields that Kubeflow Pipelines accepts.

    Raises:
      InputError: It is no cron expression, or never falls due.
    """
    given = text.split()
    fields = ["0", *given] if len(given) == len(_FIELDS) - 1 else given
    if len(fields) != len(_FIELDS):
        raise InputError(
            f"--cron {text!r}: has {len(given)} fields; expected minute, hour, day of the month, month and "
            f"day of the week, or seconds before them: {_EXAMPLE}"
        )
    try:
        expression = " ".join(field.normalise(part) for field, part in zip(_FIELDS, fields, strict=True))
    except InputError as error:
        raise InputError(f"--cron {text!r}: {error}") from None
    first = next(_runs(expression, after=now), None)
    if first is None or first.year > now.year + _HORIZON:
        raise InputError(
            f"--cron {text!r}: does not fall due within {_HORIZON} years; give days that exist in its months"
        )
    return expression


def next_runs(expression: str, *, after: datetime.datetime, count: int) -> list[datetime.datetime]:
    """Returns when an expression falls due next.

    Args:
      expression: What `parse_cron` returned.
      after: A time, with a time zone.
      count: How many to return.

    Returns:
      Times in UTC, the earliest first.
    """
    return list(islice(_runs(expression, after=after), count))


def _runs(expression: str, *, after: datetime.datetime) -> Iterator[datetime.datetime]:
    try:
        yield from CronSim(expression, after.astimezone(datetime.UTC))
    except CronSimError:  # Its fields are good: there is no such day in any of its months.
        return


def describe_time(moment: datetime.datetime, *, now: datetime.datetime) -> str:
    """Writes a time in words: the day, the hour in the given zone, and how far off it is.

    Args:
      moment: The time, in the zone in which it is to be read.
      now: The current time, with a time zone.

    Returns:
      Such as `Monday 23 November 2026, 04:00:00 CET, in 22 hours`.
    """
    day = f"{moment:%A} {moment.day} {moment:%B %Y}, {moment:%H:%M:%S} {moment.tzname()}"
    return f"{day}, in {_describe_wait(moment - now)}"


def _describe_wait(wait: datetime.timedelta) -> str:
    seconds = wait.total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return "less than a minute"
