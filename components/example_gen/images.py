"""Looks at encoded images."""

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class ImageError(ValueError):
    """Bytes that are no image. The message says why in a few words."""


def probe_image(data: bytes) -> tuple[int, int]:
    """Decodes an image to see whether it can be used.

    It is decoded whole by TensorFlow, as Transform will decode it, so that the two never disagree.

    Args:
      data: An encoded image: JPEG, PNG, or another kind that `tf.io.decode_image` knows.

    Returns:
      Its height and width in pixels.

    Raises:
      ImageError: It cannot be decoded.
    """
    import tensorflow as tf

    try:
        height, width, _ = tf.io.decode_image(data, expand_animations=False).shape
    except tf.errors.InvalidArgumentError:
        raise ImageError(_explain(data)) from None
    return height, width


def _explain(data: bytes) -> str:
    """Says in a few words why bytes cannot be decoded."""
    if not data:
        return "the file is empty"
    if data.startswith(_JPEG_START):
        return "the JPEG is damaged" if data.endswith(_JPEG_END) else "the JPEG is cut short"
    if data.startswith(_PNG_START):
        return "the PNG is damaged" if data.endswith(_PNG_END) else "the PNG is cut short"
    return "not a JPEG or PNG image"
