"""The search over a distillation's settings: lists of values multiply to variants.

A configuration is checked by this, so that Keras is imported only when a student is trained.
"""

import dataclasses
import itertools
import math
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from components.distiller.methods.base import Method
from components.distiller.registry import METHODS, DistillationSettings
from components.settings.base import Settings, custom_error

MOST_VARIANTS: Final = 32

# The symbols of the formulas in docs/configuration.md; other keys stand for themselves.
_SYMBOLS = {"temperature": "T", "student_loss_weight": "w"}


class SearchSettings(Settings):
    """How the variants of a distillation are tried.

    Attributes:
      halving: Whether one node trains them in turns, and stops the worse half ever again; otherwise each is
        trained to its end by a node of its own.
    """

    halving: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """An entry of `distillations`: a student or, where keys are lists, the best of several variants of it.

    Attributes:
      name: Of the student in the report.
      variants: The method with its settings, once for each choice of values.
      searched: The keys that are lists of values.
    """

    name: str
    variants: tuple[Method, ...]
    searched: tuple[str, ...] = ()

    def apart(self) -> tuple["Search", ...]:
        """Returns each variant as an entry of its own."""
        return tuple(
            Search(name=variant.name, variants=(variant,), searched=self.searched)
            for variant in self.variants
        )

    @property
    def base(self) -> Method:
        """The first variant, which has all settings that the variants share."""
        return self.variants[0]

    @property
    def own_values(self) -> dict[str, float]:
        """The values of an entry of one variant; none of several, of which each has its own."""
        return self.values(self.base) if len(self.variants) == 1 else {}

    @property
    def values_by_name(self) -> dict[str, dict[str, float]]:
        """The values of each variant for the keys that are lists, by the variant's name."""
        return {variant.name: self.values(variant) for variant in self.variants}

    def values(self, variant: Method) -> dict[str, float]:
        """Returns what tells a variant from the others: its value for each key that is a list."""
        return {key: getattr(variant, key) for key in self.searched}

    def as_given(self) -> dict[str, Any]:
        """Returns the entry as a user writes it, with all defaults."""
        values = [self.values(variant) for variant in self.variants]
        lists = {key: list(dict.fromkeys(each[key] for each in values)) for key in self.searched}
        return {**self.base.model_dump(), "name": self.name, **lists}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Makes pydantic read and write an entry of `distillations`."""
        return core_schema.no_info_wrap_validator_function(
            _read,
            handler.generate_schema(DistillationSettings),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.as_given),
        )


def _read(entry: Any, read_method: Callable[[Any], Method]) -> Search:
    lists = _lists(entry)
    _check(lists)
    variants = []
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        variant = read_method({**entry, **chosen} if chosen else entry)
        variants.append(variant.model_copy(update={"name": _name(variant, keys=lists)}))
    return Search(name=variant.name, variants=tuple(variants), searched=tuple(lists))


def _lists(entry: Any) -> dict[str, list[Any]]:
    """Returns the lists that an entry has where its method takes a number, or true or false."""
    method = METHODS.get(str(entry.get("method"))) if isinstance(entry, Mapping) else None
    if method is None:
        return {}
    # The keys that all methods share come last, so that a temperature stands before a weight.
    fields = sorted(method.model_fields.items(), key=lambda item: item[0] in Method.model_fields)
    return {
        key: list(entry[key])
        for key, field in fields
        if isinstance(entry.get(key), list | tuple) and _is_searchable(field.annotation)
    }


def _is_searchable(annotation: Any) -> bool:
    return not {annotation, *typing.get_args(annotation)}.isdisjoint({bool, int, float})


def _check(lists: Mapping[str, list[Any]]) -> None:
    """Refuses lists that multiply to too many variants, that say nothing, or the same twice."""
    sizes = [len(values) for values in lists.values()]
    product, factors = math.prod(sizes), " x ".join(map(str, sizes))
    if product > MOST_VARIANTS:
        number = f"{factors} = {product}" if len(sizes) > 1 else factors
        raise custom_error(f"{number} variants, more than {MOST_VARIANTS}; shorten the lists")
    for key, values in lists.items():
        if not values:
            raise _at(key, values, "must hold at least one value")
        for position, value in enumerate(values):
            if value in values[:position]:
                raise _at(key, values, f"holds {value!r} twice; keep one of them")


def _at(key: str, value: Any, message: str) -> ValidationError:
    """Makes the error of a key of an entry."""
    detail = InitErrorDetails(type=custom_error(message), loc=(key,), input=value)
    return ValidationError.from_exception_data("distillation", [detail])


def _name(variant: Method, *, keys: Mapping[str, Any]) -> str:
    """Returns the name of a variant: it follows from its own values, whatever the others are."""
    parts = (f"{_SYMBOLS.get(key, f'{key}-')}{_text(getattr(variant, key))}" for key in keys)
    return "-".join([variant.name, *parts])


def _text(value: float | bool) -> str:
    """Writes a value in letters, digits and hyphens, as ids of nodes want it: 0.5 is `0-5`."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(float(value)).removesuffix(".0").replace("+", "").replace(".", "-")
