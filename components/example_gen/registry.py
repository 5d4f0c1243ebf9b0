"""The sources of images: every module in `sources` is one. Importing this loads no other library."""

from typing import Annotated

from components.example_gen import sources
from components.example_gen.source import Source, SourceSettings
from components.example_gen.unlabelled import UnlabelledSource
from components.settings.discovery import find_kinds, one_of

DataSettings = Annotated[
    SourceSettings, one_of(find_kinds(sources, base=SourceSettings), discriminator="source")
]


def open_source(data: SourceSettings) -> Source:
    """Returns the source of the images; nothing is read yet.

    Args:
      data: Which source, and how it is split.
    """
    source = data.make_source()
    return source if data.labels else UnlabelledSource(source)
