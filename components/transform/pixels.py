"""How an image becomes pixels, in training and in serving alike.

An image is stored as its raw 8-bit pixels, row by row: `height * width * channels` bytes. That is a
quarter of the same pixels as floats, lossless to 8 bits, and unpacking a batch is one copy.
"""

import tensorflow as tf

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG.

ImageShape = tuple[int, int, int]


def pack_images(encoded: tf.Tensor, *, image_shape: ImageShape) -> tf.Tensor:
    """Decodes, resizes and packs a batch of images.

    Greyscale, RGB, RGBA and palette images of any size are accepted; transparency is dropped.
    Resizing is bilinear, with antialiasing where it shrinks, and does not keep the aspect ratio.

    Args:
      encoded: JPEG or PNG files, a string tensor `[batch]`.
      image_shape: `(height, width, channels)` of the result.

    Returns:
      Packed pixels, a string tensor `[batch]` of `height * width * channels` bytes each.
    """

    def pack(image: tf.Tensor) -> tf.Tensor:
        return _pack_pixels(_decode(image, image_shape), image_shape)

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


def _decode(encoded: tf.Tensor, image_shape: ImageShape) -> tf.Tensor:
    height, width, channels = image_shape
    image = _decode_grey(encoded) if channels == 1 else _decode_colour(encoded, channels=channels)
    resized = tf.image.resize(image, [height, width], antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


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
