"""How an image becomes pixels, in training and in serving alike.

An image is stored as its raw 8-bit pixels, row by row: `height * width * channels` bytes. That is a
quarter of the same pixels as floats, lossless to 8 bits, and unpacking a batch is one copy.
"""

import tensorflow as tf

from components.settings.models import Resize
from components.transform import orientation

_NO_IMAGE = b""  # Cannot be decoded.
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG.

ImageShape = tuple[int, int, int]


def pack_images(encoded: tf.Tensor, *, image_shape: ImageShape, resize: Resize = "stretch") -> tf.Tensor:
    """Decodes, turns upright, resizes and packs a batch of images.

    Greyscale, RGB, RGBA and palette images of any size are accepted, but for BMP with a palette of colours,
    which ExampleGen leaves out and which is read wrongly here; transparency is dropped. JPEGs are
    turned as their EXIF orientation says. Resizing is bilinear, with antialiasing where it shrinks.

    Args:
      encoded: JPEG or PNG files, a string tensor `[batch]`.
      image_shape: `(height, width, channels)` of the result.
      resize: What becomes of the aspect ratio: `stretch` changes it, `crop` cuts the largest part of the
        result's out of the middle, `pad` keeps everything between black bars.

    Returns:
      Packed pixels, a string tensor `[batch]` of `height * width * channels` bytes each.
    """

    def pack(image: tf.Tensor) -> tf.Tensor:
        return _pack_pixels(_decode(image, image_shape, resize), image_shape)

    return tf.map_fn(pack, encoded, fn_output_signature=tf.TensorSpec([], tf.string))


def unpack_images(packed: tf.Tensor, *, image_shape: ImageShape) -> tf.Tensor:
    """Turns packed pixels into what the models see.

    Args:
      packed: Packed pixels, a string tensor `[batch]`.
      image_shape: `(height, width, channels)`.

    Returns:
      A float32 tensor `[batch, height, width, channels]` in [0, 1].
    """
    pixels = tf.io.decode_raw(packed, tf.uint8)
    return tf.cast(tf.reshape(pixels, [-1, *image_shape]), tf.float32) / 255.0


@tf.function(autograph=False)  # Traced once in a process: Transform alone traces all around it seven times.
def _decode(encoded: tf.Tensor, image_shape: ImageShape, resize: Resize) -> tf.Tensor:
    height, width, channels = image_shape
    encoded = tf.cond(_is_animated_webp(encoded), lambda: _NO_IMAGE, lambda: encoded)
    image = _decode_grey(encoded) if channels == 1 else _decode_colour(encoded, channels=channels)
    image = orientation.turn_upright(image, orientation.read(encoded))
    if resize == "crop":
        image = _crop(image, height=height, width=width)
    size = _inner_size(image, height=height, width=width) if resize == "pad" else [height, width]
    resized = tf.image.resize(image, size, antialias=True)
    if resize == "pad":
        resized = _pad(resized, height=height, width=width)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def _is_animated_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Tells what makes TensorFlow write beyond its memory when it decodes it, and might end a server."""

    def is_animated() -> tf.Tensor:
        header = tf.pad(tf.io.decode_raw(tf.strings.substr(encoded, 0, 21), tf.uint8), [[0, 21]])
        is_extended = tf.reduce_all(header[8:16] == tf.constant(list(b"WEBPVP8X"), tf.uint8))
        return is_extended & (tf.bitwise.bitwise_and(header[20], 2) > 0)

    return tf.cond(tf.strings.substr(encoded, 0, 4) == b"RIFF", is_animated, lambda: False)


def _crop(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Cuts the largest part with the aspect ratio of `height` to `width` out of the middle."""
    size = tf.shape(image)[:2]
    fitting = tf.stack([_scaled(size[1], height, width), _scaled(size[0], width, height)])
    kept = tf.minimum(size, fitting)
    top, left = tf.unstack((size - kept) // 2)
    return image[top : top + kept[0], left : left + kept[1]]


def _inner_size(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    """Returns the largest `(height, width)` of an image's own aspect ratio that fits."""
    size = tf.shape(image)[:2]
    fitting = tf.stack([_scaled(size[0], width, size[1]), _scaled(size[1], height, size[0])])
    return tf.minimum([height, width], fitting)


def _pad(image: tf.Tensor, *, height: int, width: int) -> tf.Tensor:
    top, left = tf.unstack(([height, width] - tf.shape(image)[:2]) // 2)
    return tf.image.pad_to_bounding_box(image, top, left, height, width)


def _scaled(length: tf.Tensor, numerator: tf.Tensor | int, denominator: tf.Tensor | int) -> tf.Tensor:
    """Returns `length * numerator / denominator`, rounded, at least a pixel."""
    return tf.maximum(1, (length * numerator + denominator // 2) // denominator)


def _decode_colour(encoded: tf.Tensor, *, channels: int) -> tf.Tensor:
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    return tf.ensure_shape(image, [None, None, channels])


def _decode_grey(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes to `[height, width, 1]`; asked for one channel, TensorFlow would refuse some files."""
    image = tf.ensure_shape(tf.io.decode_image(encoded, expand_animations=False), [None, None, None])
    image = tf.cast(image, tf.float32)

    def luma() -> tf.Tensor:
        return tf.tensordot(image[:, :, :3], _LUMA, axes=1)[:, :, tf.newaxis]

    return tf.cond(tf.shape(image)[2] < 3, lambda: image[:, :, :1], luma)


def _pack_pixels(pixels: tf.Tensor, image_shape: ImageShape) -> tf.Tensor:
    """Returns the bytes of a uint8 tensor.

    TensorFlow has no operation for just that. A serialized tensor ends in its content, so the last
    `height * width * channels` bytes are the pixels.
    """
    height, width, channels = image_shape
    size = height * width * channels
    return tf.strings.substr(tf.io.serialize_tensor(pixels), -size, size)
