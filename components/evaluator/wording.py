"""Numbers as people read them."""

from collections.abc import Iterable

_SPACE = "\N{NO-BREAK SPACE}"


def percent(share: float, *, decimals: int = 1) -> str:
    """Writes a share in [0, 1] as a percentage."""
    return f"{share * 100:.{decimals}f}{_SPACE}%"


def telling_decimals(shares: Iterable[float]) -> int:
    """Returns the fewest decimals, from 1 to 4, with which different shares look different."""
    distinct = set(shares)
    for decimals in range(1, 4):
        if len({percent(share, decimals=decimals) for share in distinct}) == len(distinct):
            return decimals
    return 4


def file_size(size_bytes: int) -> str:
    """Writes a number of bytes in units of which each is 1,000 of the one before."""
    if size_bytes < 1000:
        return f"{size_bytes}{_SPACE}B"
    size = size_bytes / 1000
    for unit in ("kB", "MB"):
        if size < 999.5:
            return f"{_three_digits(size)}{_SPACE}{unit}"
        size /= 1000
    return f"{_three_digits(size)}{_SPACE}GB"


def _three_digits(number: float) -> str:
    return f"{number:.{max(0, 3 - len(str(int(number))))}f}"


def duration(seconds: float) -> str:
    """Writes seconds as seconds, minutes or hours."""
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest:02d}{_SPACE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{_SPACE}h {minutes:02d}{_SPACE}min"
