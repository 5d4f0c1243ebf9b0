"""Puts what is wrong with settings into words: the key, what was given, what is allowed."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_NO_MAPPING = ("model_type", "model_attributes_type")
_NO_TAG = ("union_tag_invalid", "union_tag_not_found")


def explain(error: ValidationError, *, given: Any = None) -> list[str]:
    """Describes what pydantic refused, as in `teacher.epochs: got 0; must be greater than 0`.

    Args:
      error: What the validation raised.
      given: What was validated. Without it the tags of unions, such as `tfds`, count as keys.

    Returns:
      One line for each problem, without a full stop. It starts with the key, if the problem lies below one.
    """
    return [_describe(detail, given) for detail in error.errors()]


def _describe(detail: ErrorDetails, given: Any) -> str:
    key = ".".join(map(str, detail["loc"] if given is None else _keys(detail, given)))
    if detail["type"] in _NO_TAG:
        return _describe_tag(detail, key=key)
    message = detail["msg"].replace("Input should be", "must be").replace("a valid tuple", "a list")
    if detail["type"] == "missing":
        message = "is missing; add it"
    elif detail["type"] == "too_short":
        message = f"got {detail['input']!r}; must hold at least {detail['ctx']['min_length']}"
    elif detail["type"] in _NO_MAPPING:
        message = f"got {detail['input']!r}; must be a mapping of keys to values"
    elif not isinstance(detail["input"], dict):
        message = f"got {detail['input']!r}; {message}"
    return f"{key}: {message}" if key else message


def _keys(detail: ErrorDetails, given: Any) -> Iterator[int | str]:
    """Yields the keys that lead to a problem, without the tags of unions: nothing was given below those."""
    for part in detail["loc"]:
        is_index = isinstance(given, list | tuple) and isinstance(part, int)
        if is_index or (isinstance(given, dict) and part in given):
            given = given[part]
            yield part
    if detail["type"] == "missing":
        yield detail["loc"][-1]


def _describe_tag(detail: ErrorDetails, *, key: str) -> str:
    context = detail["ctx"]
    key = f"{key}.{context['discriminator']}".replace("'", "")
    if "tag" not in context:
        return f"{key}: is missing; add it"
    allowed = context["expected_tags"].replace("'", "")
    return f"{key}: got {context['tag']!r}; allowed: {allowed}"
