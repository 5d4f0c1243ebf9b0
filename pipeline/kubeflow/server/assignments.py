"""The parameters of a run, from `NAME=VALUE` to values."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from components.errors import InputError, suggest

ParameterType = Literal["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE"]

Value = str | int | float


def parse_parameters(
    assignments: Sequence[str], *, declared: Mapping[str, ParameterType]
) -> dict[str, Value]:
    """Reads what `--param` was given.

    Args:
      assignments: `NAME=VALUE`s. A parameter that is a string takes its value as it stands.
      declared: The types of the pipeline's parameters by name.

    Returns:
      Values by name.

    Raises:
      InputError: A parameter is unknown, given twice, or of another type.
    """
    values: dict[str, Value] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise InputError(f"--param {assignment!r}: expected NAME=VALUE")
        if name not in declared:
            raise InputError(
                f"--param {name}: is unknown; allowed: {', '.join(declared)}{suggest(name, declared)}"
            )
        if name in values:
            raise InputError(f"--param {name}: is given twice; keep one of them")
        values[name] = text if declared[name] == "STRING" else _number(name, text, declared[name])
    return values


def _number(name: str, text: str, parameter_type: ParameterType) -> int | float:
    is_integer = parameter_type == "NUMBER_INTEGER"
    try:
        number = json.loads(text)
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int if is_integer else int | float):
        number = math.nan
    if not math.isfinite(number):
        expected = "a whole number" if is_integer else "a number"
        raise InputError(f"--param {name}: got {text!r}; expected {expected}")
    return number
