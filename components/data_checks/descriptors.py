"""What is kept of each image to compare data by, in a small file beside its shard of examples."""

import dataclasses
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from typing import Final, Self

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from components.layout import descriptor_files
from components.storage.copies import local_copy

# Of images with fewer pixels on a side, and of those that are all but uniform, different ones look alike to a
# perceptual hash.
LEAST_SIDE: Final = 32
LEAST_CONTRAST: Final = 8.0

THUMBNAIL_SIDE: Final = 16
_POWERS = np.arange(256.0)[:, None] ** [1, 2]  # Of the levels of luminance.
_HASHED_SIDE = 32  # To which the perceptual hash shrinks an image.

SCHEMA: Final = pa.schema(
    {
        "id": pa.string(),
        "label": pa.int64(),
        "sha256": pa.binary(32),
        "height": pa.int32(),
        "width": pa.int32(),
        "brightness": pa.float32(),
        "contrast": pa.float32(),
        "phash": pa.uint64(),
        "thumbnail": pa.binary(THUMBNAIL_SIDE**2),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What is kept of an image.

    Attributes:
      id: Names it within its data set.
      label: The index of its class, or `NO_LABEL`.
      sha256: Of the encoded image.
      height: In pixels, as it is to be looked at.
      width: Likewise.
      brightness: The mean of its luminance (ITU-R BT.601), from 0 to 255.
      contrast: The standard deviation of its luminance, from 0 to 127.5: the RMS contrast (Peli, "Contrast in
        complex images", 1990, doi:10.1364/JOSAA.7.002032).
      phash: Its perceptual hash, of 64 bits: the signs of the lowest frequencies of its cosine transform
        (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010); None of an image
        that is too small or too uniform to be told from others by it.
      thumbnail: Its luminance as `THUMBNAIL_SIDE`² bytes; None where there is no hash.
    """

    id: str
    label: int
    sha256: bytes
    height: int
    width: int
    brightness: float
    contrast: float
    phash: int | None = None
    thumbnail: bytes | None = None


def describe(
    pixels: np.ndarray, *, encoded: bytes, name: str, label: int, size: tuple[int, int]
) -> Descriptor:
    """Describes an image.

    Args:
      pixels: uint8 `[height, width, channels]`: grey, grey and alpha, RGB or RGBA.
      encoded: The same as a file.
      name: Its id.
      label: The index of its class, or `NO_LABEL`.
      size: Height and width as it is to be looked at.
    """
    luminance = _luminance(pixels)
    brightness, contrast = _moments(luminance)
    is_telling = min(size) >= LEAST_SIDE and contrast >= LEAST_CONTRAST
    phash, thumbnail = _look(luminance) if is_telling else (None, None)
    return Descriptor(
        id=name,
        label=label,
        sha256=hashlib.sha256(encoded).digest(),
        height=size[0],
        width=size[1],
        brightness=brightness,
        contrast=contrast,
        phash=phash,
        thumbnail=thumbnail,
    )


def encode(descriptors: Sequence[Descriptor]) -> bytes:
    """Writes the descriptors of the images of a shard as Parquet."""
    columns = {name: [getattr(each, name) for each in descriptors] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA)
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


@dataclasses.dataclass(frozen=True)
class Descriptors:
    """The descriptors of the images of some shards, as often as they are asked for.

    There may be many: only those of one shard are in memory, as a table with the columns of `SCHEMA`.

    Attributes:
      paths: The files of the shards.
    """

    paths: Sequence[str]

    @classmethod
    def of(cls, examples_uri: str, *splits: str) -> Self:
        """Opens those of some splits of an `Examples` artifact."""
        files = (file for split in splits for file in descriptor_files(examples_uri, split))
        return cls([str(local_copy(file)) for file in files])

    def __iter__(self) -> Iterator[pa.Table]:
        """Reads them shard by shard."""
        for path in self.paths:
            yield pq.read_table(path, schema=SCHEMA)


def _luminance(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L")


def _look(luminance: Image.Image) -> tuple[int, bytes]:
    """Returns the perceptual hash and the thumbnail."""
    # By averaging areas, in a fifth of the time that imagehash's own filter takes.
    small = luminance.resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.BOX)
    bits = np.packbits(imagehash.phash(small).hash).tobytes()
    return int.from_bytes(bits), small.reduce(_HASHED_SIDE // THUMBNAIL_SIDE).tobytes()


def _moments(luminance: Image.Image) -> tuple[float, float]:
    """Returns mean and standard deviation."""
    total, squares = np.array(luminance.histogram(), np.float64) @ _POWERS
    pixels = luminance.width * luminance.height
    mean = float(total / pixels)
    return mean, math.sqrt(max(float(squares / pixels) - mean**2, 0))
