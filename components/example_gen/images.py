"""Looks at encoded images."""

import io
from typing import NamedTuple

import numpy as np

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_EXIF, _ORIENTATION, _ON_ITS_SIDE = b"Exif\0\0", 0x0112, (5, 6, 7, 8)
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
      ImageError: It cannot be decoded.
    """
    import tensorflow as tf

    try:
        pixels = np.asarray(memoryview(tf.io.decode_image(data, expand_animations=False)))  # Not copied.
    except tf.errors.InvalidArgumentError:
        raise ImageError(_explain(data)) from None
    height, width, _ = pixels.shape
    return Probe(width, height, pixels) if lies_on_its_side(data) else Probe(height, width, pixels)


def lies_on_its_side(data: bytes) -> bool:
    """Tells whether the EXIF orientation of an image exchanges its height and width."""
    if not data.startswith(_JPEG_START) or _EXIF not in data:
        return False
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    except Image.DecompressionBombError:
        raise ImageError("it has too many pixels") from None


def _explain(data: bytes) -> str:
    """Says in a few words why bytes cannot be decoded."""
    if not data:
        return "the file is empty"
    if data.startswith(_JPEG_START):
        return "the JPEG is damaged" if data.endswith(_JPEG_END) else "the JPEG is cut short"
    if data.startswith(_PNG_START):
        return "the PNG is damaged" if data.endswith(_PNG_END) else "the PNG is cut short"
    return "not a JPEG or PNG image"
