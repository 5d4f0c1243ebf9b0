"""Looks at encoded images."""

import struct
from typing import NamedTuple

import numpy as np

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_EXIF, _ORIENTATION, _ON_ITS_SIDE = b"Exif\0\0", 0x0112, (5, 6, 7, 8)
_START_OF_SCAN = 0xDA
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

    problem = find_misread(data)
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
    segment = _find_exif(data) if _EXIF in data and data.startswith(_JPEG_START) else b""
    if not segment:
        return False
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_ORIENTATION) in _ON_ITS_SIDE
    except (SyntaxError, ValueError, TypeError, struct.error):
        return False


def _find_exif(jpeg: bytes) -> bytes:
    """Returns the content of the segment with EXIF; empty if there is none before the pixels."""
    at = 2
    while jpeg[at : at + 1] == b"\xff" and jpeg[at + 1 : at + 2] not in (b"", bytes([_START_OF_SCAN])):
        if jpeg[at + 1] == 0xFF:  # A filler.
            at += 1
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xE1 and jpeg[at + 4 :].startswith(_EXIF):
            return jpeg[at + 4 : at + 2 + length]
        at += 2 + length
    return b""


def find_misread(data: bytes) -> str | None:
    """Says what of an image TensorFlow would read wrongly without a word; None if nothing.

    An animated WebP makes it write beyond its memory, which may end the process; of a BMP with a palette it
    takes the numbers of the colours for their brightness, and compressed numbers for plain ones.
    """
    if _is_animated_webp(data):
        return "an animated WebP"
    if data.startswith(b"BM") and data[28:30] == b"\x08\0":
        if data[30:34] != bytes(4):
            return "a compressed BMP"
        if not _has_grey_palette(data):
            return "a BMP with a palette of colours"
    return None


def _is_animated_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and len(data) > 20 and bool(data[20] & 2)


def _has_grey_palette(bmp: bytes) -> bool:
    """Tells whether the numbers of the colours of a BMP are their brightness."""
    header, count = (int.from_bytes(bmp[at : at + 4], "little") for at in (14, 46))
    places = ((number, 14 + header + 4 * number) for number in range(min(count or 256, 256)))
    return all(bmp[at : at + 3] == bytes([number] * 3) for number, at in places)


def _explain(data: bytes) -> str:
    """Says in a few words why bytes cannot be decoded."""
    if not data:
        return "the file is empty"
    if data.startswith(_JPEG_START):
        return "the JPEG is damaged" if data.endswith(_JPEG_END) else "the JPEG is cut short"
    if data.startswith(_PNG_START):
        return "the PNG is damaged" if data.endswith(_PNG_END) else "the PNG is cut short"
    return "not a JPEG or PNG image"
