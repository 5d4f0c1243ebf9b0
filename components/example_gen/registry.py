"""The sources of images: every module in `sources/` is one. Importing this loads no other library."""

import functools
import importlib
import operator
import pkgutil
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from components.example_gen import sources
from components.example_gen.source import Source, SourceSettings
from components.example_gen.unlabelled import UnlabelledSource


def _find_settings() -> tuple[type[SourceSettings], ...]:
    """Imports the modules in `sources/`, and returns the settings that each of them defines."""
    modules = [
        importlib.import_module(f"{sources.__name__}.{found.name}")
        for found in pkgutil.iter_modules(sources.__path__)
    ]
    return tuple(
        candidate
        for module in modules
        for candidate in vars(module).values()
        if isinstance(candidate, type)
        and issubclass(candidate, SourceSettings)
        and candidate.__module__ == module.__name__
    )


if TYPE_CHECKING:  # A type checker cannot know which sources will be found.
    DataSettings = SourceSettings
else:
    DataSettings = Annotated[functools.reduce(operator.or_, _find_settings()), Field(discriminator="source")]


def open_source(data: DataSettings) -> Source:
    """Returns the source of the images; nothing is read yet.

    Args:
      data: Which source, and how it is split.
    """
    source = data.make_source()
    return source if data.labels else UnlabelledSource(source)
