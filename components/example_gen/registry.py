"""The sources of images: every module in `sources` is one. Importing this loads no other library."""

from typing import Annotated

from components.example_gen import sources
from components.example_gen.reference.folder import ReferenceFolder
from components.example_gen.reference.source import ReferencedSource
from components.example_gen.source import Source, SourceSettings
from components.example_gen.unlabelled.all_but_test import UnlabelledSource
from components.example_gen.unlabelled.beside import PartlyLabelledSource
from components.example_gen.unlabelled.folder import UnlabelledFolder
from components.settings.discovery import find_kinds, one_of

DataSettings = Annotated[
    SourceSettings, one_of(find_kinds(sources, base=SourceSettings), discriminator="source")
]


def open_source(data: SourceSettings) -> Source:
    """Returns the source of the images; nothing is read yet.

    Args:
      data: Which source, how it is split, and which images lie beside it.
    """
    source = _open_labelled(data)
    if data.reference is None:
        return source
    return ReferencedSource(source, ReferenceFolder(data.reference, weight=_weight_beside(data)))


def _open_labelled(data: SourceSettings) -> Source:
    """Returns the source with its labels, as far as they are used, and the images that have none."""
    source = data.make_source()
    if not data.labels:
        return UnlabelledSource(source)
    if not data.has_unlabelled:
        return source
    folder = None
    if data.unlabelled is not None:
        folder = UnlabelledFolder(data.unlabelled, weight=_weight_beside(data))
    return PartlyLabelledSource(source, labelled_fraction=data.labelled_fraction, folder=folder)


def _weight_beside(data: SourceSettings) -> float | None:
    """Returns the weight of images that lie beside the data; None where those of the data have none."""
    return 1.0 if data.has_weights else None
