"""Opens the source of images that a configuration names. Importing this loads no other library."""

from components.example_gen.sources.digits import DigitsSource
from components.example_gen.sources.image_folder import ImageFolderSource
from components.example_gen.sources.source import Source
from components.example_gen.sources.tfds import TfdsSource
from components.example_gen.sources.unlabelled import UnlabelledSource
from components.settings.data import DataSettings, ImageFolderData, TfdsData


def open_source(data: DataSettings) -> Source:
    """Returns the source of the images; nothing is read yet.

    Args:
      data: Which source, and how it is split.
    """
    source = _open_source(data)
    return source if data.labels else UnlabelledSource(source)


def _open_source(data: DataSettings) -> Source:
    if isinstance(data, TfdsData):
        return TfdsSource(data.dataset, data.data_dir, data.splits.model_dump(), data.sample_weight)
    if isinstance(data, ImageFolderData):
        return ImageFolderSource(data.path, data.split_fractions.model_dump(), labels=data.labels)
    return DigitsSource(data.split_fractions.model_dump())
