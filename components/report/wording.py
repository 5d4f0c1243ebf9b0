"""Numbers as people read them."""

from collections.abc import Iterable, Mapping

from rich import filesize

from components.metrics import BY_NAME

# The heading of what was found in the data, wherever it is shown.
DATA_CHECK = "Data: drift and duplicates"

_SPACE = "\N{NO-BREAK SPACE}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_MINUS = "\N{MINUS SIGN}"


def percent(share: float, *, decimals: int = 1) -> str:
    """Writes a share as a percentage, with a true minus where it is negative."""
    return f"{share * 100:z.{decimals}f}{_SPACE}%".replace("-", _MINUS)


def telling_decimals(shares: Iterable[float]) -> int:
    """Returns the fewest decimals, from 1 to 4, with which different shares look different."""
    distinct = set(shares)
    for decimals in range(1, 4):
        if len({percent(share, decimals=decimals) for share in distinct}) == len(distinct):
            return decimals
    return 4


def file_size(size_bytes: float) -> str:
    """Writes a number of bytes in units of which each is 1,000 of the one before."""
    return filesize.decimal(round(size_bytes), precision=2, separator=_SPACE)


def setting(value: float) -> str:
    """Writes a value of a configuration as its user does."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def settings(values: Mapping[str, float]) -> str:
    """Writes keys of a configuration with their values."""
    return ", ".join(f"{key} {setting(value)}" for key, value in values.items())


def diverged(variants: int) -> str:
    """Says, after a number of variants that were tried, how many of them diverged; nothing if none did."""
    return f"; {variants} diverged" if variants else ""


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


def signed_points(difference: float, *, decimals: int = 2) -> str:
    """Writes a difference of two shares as signed percentage points."""
    return f"{signed(difference * 100, decimals=decimals)}{_SPACE}points"


def signed(number: float, *, decimals: int = 4) -> str:
    """Writes a number with its sign; what rounds to zero has none."""
    digits = f"{abs(number):.{decimals}f}"
    if not float(digits):
        return digits
    return f"{'+' if number > 0 else _MINUS}{digits}"


def difference(number: float, *, metric: str) -> str:
    """Writes a difference of two models: in points where the metric is a percentage, else as it is."""
    return signed(number * 100, decimals=2) if BY_NAME[metric].as_percentage else signed(number)


def in_unit(number: float, *, unit: str) -> str:
    """Writes what a gate measures in the gate's unit."""
    match unit:
        case "share":
            return percent(number, decimals=2)
        case "probability":
            return p_value(number)
        case "bytes":
            return file_size(number)
        case "milliseconds":
            return milliseconds(number)
        case "ratio":
            return f"{number:.2f}"
        case "nats":
            return f"{number:.4f}"
        case _:
            return f"{number:.4g}"


def training_images(labelled: int, unlabelled: int) -> str:
    """Says how many images the models learnt from, where distilled students saw more of them."""
    return (
        f"Trained on {labelled:,} labelled images; distilled students also on {unlabelled:,} unlabelled ones."
    )


def p_value(probability: float) -> str:
    """Writes a p-value with three decimals, or says that it is smaller than they can tell."""
    return "< 0.001" if probability < 0.0005 else f"{probability:.3f}"


def milliseconds(milliseconds_: float) -> str:
    """Writes milliseconds with three digits."""
    return f"{_three_digits(milliseconds_)}{_SPACE}ms"


def amount(number: float) -> str:
    """Writes a count with three digits and a unit: thousands (k), millions (M) or billions (G)."""
    if number < 999.5:
        return f"{number:.0f}"
    number /= 1000
    for unit in ("k", "M"):
        if number < 999.5:
            return f"{_three_digits(number)}{_SPACE}{unit}"
        number /= 1000
    return f"{_three_digits(number)}{_SPACE}G"


def ratio(larger: float, smaller: float) -> str:
    """Writes how many times larger one size is than another, such as 40 times."""
    times = larger / smaller
    return f"{times:.1f}{_SPACE}{_TIMES}" if times < 9.95 else f"{times:,.0f}{_SPACE}{_TIMES}"
