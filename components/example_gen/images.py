"""Looks at encoded images."""

import struct
from typing import NamedTuple

import numpy as np

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_EXIF, _ORIENTATION, _ON_ITS_SIDE = b"Exif\0\0", 0x0112, (5, 6, 7, 8)
_LONGEST_SEGMENT = 1 << 16  # Of a JPEG, whose lengths have two bytes.
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class ImageError(ValueError):
    """Bytes that are no image. The message says why in a few words."""


class Probe(NamedTuple):
    """A decoded image.

    Attributes:
      height: In pixels, as it is to be looked at.
      width: Likewise.
      pixels: As they are stored, uint8 `[height, width, channels]`.
    """

    height: int
    width: int
    pixels: np.ndarray


def probe_image(data: bytes) -> Probe:
    """Decodes an image to see whether it can be used.

    It is decoded whole by TensorFlow, as Transform will decode it, so that the two never disagree.

    Args:
      data: An encoded image: JPEG, PNG, or another kind that `tf.io.decode_image` knows.

    Raises:
      ImageError: It cannot be decoded, or not as it is to be looked at.
    """
    import tensorflow as tf

    problem = _find_misread(data)
    if problem:
        raise ImageError(problem)
    try:
        pixels = np.asarray(memoryview(tf.io.decode_image(data, expand_animations=False)))  # Not copied.
    except tf.errors.InvalidArgumentError:
        raise ImageError(_explain(data)) from None
    height, width, _ = pixels.shape
    return Probe(width, height, pixels) if lies_on_its_side(data) else Probe(height, width, pixels)


def lies_on_its_side(data: bytes) -> bool:
    """Tells whether the EXIF orientation of an image exchanges its height and width.

    EXIF that is damaged says nothing, as in Transform; what else of a file Pillow would refuse is no matter.
    """
    start = data.find(_EXIF)
    if start < 0 or not data.startswith(_JPEG_START):
        return False
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(data[start : start + _LONGEST_SEGMENT])
        return exif.get(_ORIENTATION) in _ON_ITS_SIDE
    except (SyntaxError, ValueError, TypeError, struct.error):
        return False


def _find_misread(data: bytes) -> str | None:
    """Says what of an image TensorFlow would read wrongly without a word; None if nothing.

    An animated WebP makes it write beyond its memory, which may end the process; of a BMP with a palette it
    takes the numbers of the colours for their brightness.
    """
    if _is_animated_webp(data):
        return "an animated WebP"
    if data.startswith(b"BM") and data[28:30] == b"\x08\0" and not _has_grey_palette(data):
        return "a BMP with a palette of colours"
    return None


def _is_animated_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and len(data) > 20 and bool(data[20] & 2)


def _has_grey_palette(bmp: bytes) -> bool:
    """Tells whether the numbers of the colours of a BMP are their brightness."""
    header, pixels = (int.from_bytes(bmp[start : start + 4], "little") for start in (14, 10))
    palette = np.frombuffer(bmp[14 + header : pixels], np.uint8)
    palette = palette[: len(palette) // 4 * 4].reshape(-1, 4)[:, :3]
    return bool((palette == np.arange(len(palette))[:, np.newaxis]).all())


def _explain(data: bytes) -> str:
    """Says in a few words why bytes cannot be decoded."""
    if not data:
        return "the file is empty"
    if data.startswith(_JPEG_START):
        return "the JPEG is damaged" if data.endswith(_JPEG_END) else "the JPEG is cut short"
    if data.startswith(_PNG_START):
        return "the PNG is damaged" if data.endswith(_PNG_END) else "the PNG is cut short"
    return "not a JPEG or PNG image"
