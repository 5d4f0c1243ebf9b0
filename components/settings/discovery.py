"""Settings of several kinds, each in a module of its own, which is found and need not be listed."""

import functools
import importlib
import inspect
import operator
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema

from components.settings.base import Settings

Kind = TypeVar("Kind", bound=Settings)


def find_kinds(package: ModuleType, *, base: type[Kind]) -> list[type[Kind]]:
    """Imports the modules of a package, and returns the kinds of settings that they define.

    Args:
      package: Its modules need no heavy library to be imported.
      base: What all kinds derive from; a class with abstract methods is none.

    Returns:
      The classes, in the order of the names of their modules.
    """
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return [
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, base)
        and each.__module__ == module.__name__
        and not inspect.isabstract(each)
    ]


def one_of(kinds: Sequence[type[Settings]], *, discriminator: str) -> GetPydanticSchema:
    """Makes pydantic read a base class, annotated with this, as the kind that a key names.

    Args:
      kinds: The kinds; each has a literal of its own under that key.
      discriminator: The key.
    """

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind = functools.reduce(operator.or_, kinds)
        return handler.generate_schema(Annotated[kind, Field(discriminator=discriminator)])

    return GetPydanticSchema(schema)
