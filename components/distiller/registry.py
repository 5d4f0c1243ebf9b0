"""The methods of distillation, as they are found in the modules of `methods`.

A module there that defines a `Method` is all that a new one takes.
"""

import functools
import importlib
import inspect
import operator
import pkgutil
import typing
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema

from components.distiller import methods
from components.distiller.methods.base import Method


def _find_methods() -> Iterator[tuple[str, type[Method]]]:
    for info in pkgutil.iter_modules(methods.__path__):
        module = importlib.import_module(f"{methods.__name__}.{info.name}")
        for each in vars(module).values():
            is_method = inspect.isclass(each) and issubclass(each, Method) and not inspect.isabstract(each)
            if is_method and each.__module__ == module.__name__:
                (name,) = typing.get_args(each.model_fields["method"].annotation)
                yield name, each


# The class of each method by its name; the shortest names, which are the plainest methods, come first.
METHODS = dict(sorted(_find_methods(), key=lambda found: (len(found[0]), found[0])))


def _any_method(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Makes pydantic read a `Method` as the one that its key `method` names."""
    any_of_them = functools.reduce(operator.or_, METHODS.values())
    return handler.generate_schema(Annotated[any_of_them, Field(discriminator="method")])


DistillationSettings = Annotated[Method, GetPydanticSchema(_any_method)]
