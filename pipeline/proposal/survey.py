"""What there is: how many images of which classes, and what a sample of them looks like."""

import dataclasses
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import InputError
from components.example_gen.images import ImageError, find_misread, lies_on_its_side, probe_image
from components.example_gen.source import Record, Skipped, Source
from components.layout import SPLITS

_SAMPLE_SIZE = 300
_SMALL = (64, 64)  # Colours are looked at in this size.
_GREY_DIFFERENCE = 8  # Of 255, between the channels of a pixel, which JPEG's rounding may reach.
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")


@dataclasses.dataclass(frozen=True)
class Look:
    """What one image looks like: its size in pixels, upright, and whether it has no colours."""

    height: int
    width: int
    is_grey: bool


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
      classes: The number of images by class, of each split.
      skipped: What is left out.
      sample: What some of the training images look like.
      notes: In what way the splits are others than the user may expect.
    """

    classes: Mapping[str, Mapping[str, int]]
    skipped: tuple[Skipped, ...]
    sample: tuple[Look, ...]
    notes: tuple[str, ...]

    def count(self, split: str) -> int:
        """Returns the number of images in a split."""
        return sum(self.classes[split].values())

    @property
    def broken(self) -> list[str]:
        """The names of those that were looked at and cannot be used."""
        return [item.id for item in self.skipped if item.corrupt]


def look_at(source: Source) -> Survey:
    """Counts the images of a source, and looks at some of those to train on.

    Raises:
      InputError: The source cannot be used, or none of the images that were looked at can be used.
    """
    source.prepare()
    names = source.class_names
    listings = {split: source.listing(split) for split in SPLITS}
    looks = [item if isinstance(item, Skipped) else _look(item) for item in _sample(source)]
    sample = tuple(look for look in looks if isinstance(look, Look))
    broken = tuple(look for look in looks if isinstance(look, Skipped))
    if not sample:
        raise InputError(
            f"None of the {len(looks)} images that were looked at can be used (the first: {broken[0].id!r}, "
            f"{broken[0].reason})."
        )
    return Survey(
        classes={
            split: {name: listing.labels[label] for label, name in enumerate(names)}
            for split, listing in listings.items()
        },
        skipped=(*(item for listing in listings.values() for item in listing.skipped), *broken),
        sample=sample,
        notes=tuple(source.notes()),
    )


def _sample(source: Source) -> Iterator[Record | Skipped]:
    """Yields the first images of each shard; within a shard the classes come mixed."""
    shards = source.shards("train")
    share = -(-_SAMPLE_SIZE // len(shards))
    for shard in shards:
        images = (item for item in source.read(shard) if isinstance(item, Record) or item.corrupt)
        yield from itertools.islice(images, share)


def _look(record: Record) -> Look | Skipped:
    from PIL import Image

    problem = find_misread(record.image)
    if problem:
        return Skipped(record.id, problem, corrupt=True)
    try:
        with Image.open(io.BytesIO(record.image)) as image:
            width, height = image.size
            image.draft("RGB", _SMALL)
            image.thumbnail(_SMALL)
            is_grey = image.mode in _GREY_MODES or _is_grey(image)
        if lies_on_its_side(record.image):
            width, height = height, width
        return Look(height=height, width=width, is_grey=is_grey)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _look_as_a_run_does(record)  # It is damaged, or too much for Pillow alone.


def _look_as_a_run_does(record: Record) -> Look | Skipped:
    """Looks by TensorFlow, which takes its time to load, and decides in a run."""
    from PIL import Image

    try:
        probe = probe_image(record.image)
    except ImageError as error:
        return Skipped(record.id, str(error), corrupt=True)
    is_grey = probe.pixels.shape[-1] < 3 or _is_grey(Image.fromarray(probe.pixels))
    return Look(height=probe.height, width=probe.width, is_grey=is_grey)


def _is_grey(image: Any) -> bool:
    import numpy as np

    pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((pixels.max(axis=-1) - pixels.min(axis=-1)).max()) <= _GREY_DIFFERENCE


def count_reasons(skipped: tuple[Skipped, ...]) -> Counter[str]:
    """Counts what is left out by the reason why."""
    return Counter(item.reason for item in skipped)
