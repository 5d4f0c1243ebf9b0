"""How a camera was held: the EXIF orientation of a JPEG, read and undone within a graph.

Serving receives the same files as Transform and runs the same operations. Exif 2.32 (CIPA DC-008), section
4.5: a segment APP1 holds a TIFF file, whose first directory may have an entry with the tag Orientation.
"""

import tensorflow as tf

_HEADER_BYTES = 1 << 17  # Exif is among the first segments, none of which has more than half of this.
_JPEG_START = b"\xff\xd8"
_MARKER, _START_OF_SCAN = 0xFF, 0xDA
_EXIF = (_MARKER, 0xE1, *b"Exif\0\0")
_TIFF_OFFSET = 10  # Marker, length, name.
_LITTLE_ENDIAN = ord("I")
_ENTRY_BYTES = 12
_TAG = 0x0112
_UPRIGHT = 1

# What is done to an image of these orientations, one after the other.
_CHANGES = (
    ((5, 6, 7, 8), lambda image: tf.transpose(image, [1, 0, 2])),
    ((2, 3, 6, 7), lambda image: tf.reverse(image, [1])),
    ((3, 4, 7, 8), lambda image: tf.reverse(image, [0])),
)


def read(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation of an encoded image: from 1 to 8, where 1 is upright or not known.

    Args:
      encoded: A JPEG, or an image of another kind, a string scalar.

    Returns:
      An int64 scalar.
    """
    is_jpeg = tf.strings.substr(encoded, 0, 2) == _JPEG_START
    return tf.cond(is_jpeg, lambda: _read_jpeg(encoded), lambda: tf.constant(_UPRIGHT, tf.int64))


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an orientation.

    Args:
      image: Pixels as they are stored, `[height, width, channels]`.
      orientation: As `read` returns it.
    """
    for orientations, change in _CHANGES:
        applies = tf.reduce_any(orientation == tf.constant(orientations, tf.int64))
        image = tf.cond(applies, lambda image=image, change=change: change(image), lambda image=image: image)
    return image


def _read_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    header = tf.strings.substr(encoded, 0, _HEADER_BYTES)
    size = tf.strings.length(header)
    # Behind the zeros nothing is read, whatever a damaged header says.
    data = tf.pad(tf.io.decode_raw(header, tf.uint8), [[0, 2 * _ENTRY_BYTES]])
    segment = _find_exif(data, size)
    return tf.cond(
        segment < size,
        lambda: _read_tiff(data[segment + _TIFF_OFFSET :]),
        lambda: tf.constant(_UPRIGHT, tf.int64),
    )


def _find_exif(data: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns where the segment of Exif begins among those of a JPEG, or `size` if there is none."""

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        start = tf.concat([data[at : at + 2], data[at + 4 : at + _TIFF_OFFSET]], axis=0)
        return tf.reduce_all(start == tf.constant(_EXIF, tf.uint8))

    def is_another(at: tf.Tensor) -> tf.Tensor:
        is_segment = (data[at] == _MARKER) & (data[at + 1] != _START_OF_SCAN)
        return (at < size) & is_segment & ~is_exif(at)

    def skip(at: tf.Tensor) -> tf.Tensor:
        is_filler = data[at + 1] == _MARKER
        length = tf.cast(_numbers(data[at + 2 : at + 4], is_little_endian=False), tf.int32)
        return tf.minimum(at + tf.where(is_filler, 1, 2 + length), size)

    at = tf.while_loop(is_another, lambda at: [skip(at)], [len(_JPEG_START)])[0]
    return tf.where(is_exif(at), at, size)


def _read_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Reads the orientation out of a TIFF file, whose offsets count from its start."""
    is_little_endian = tiff[0] == _LITTLE_ENDIAN
    size = tf.size(tiff, tf.int64)
    directory = tf.minimum(_numbers(tiff[4:8], is_little_endian=is_little_endian), size - 2)
    entries = tiff[directory + 2 :]
    count = tf.minimum(
        _numbers(tiff[directory : directory + 2], is_little_endian=is_little_endian),
        tf.size(entries, tf.int64) // _ENTRY_BYTES,
    )
    entries = tf.reshape(entries[: count * _ENTRY_BYTES], [-1, _ENTRY_BYTES])
    tags = _numbers(entries[:, :2], is_little_endian=is_little_endian)
    values = _numbers(entries[:, 8:10], is_little_endian=is_little_endian)
    found = tf.concat([tf.boolean_mask(values, tags == _TAG), [_UPRIGHT]], axis=0)[0]
    return tf.where((found >= 1) & (found <= 8), found, _UPRIGHT)


def _numbers(data: tf.Tensor, *, is_little_endian: tf.Tensor | bool) -> tf.Tensor:
    """Reads unsigned integers of up to four bytes: `[..., size]` to int64 `[...]`."""
    digits = tf.cast(tf.where(is_little_endian, data, tf.reverse(data, [-1])), tf.int64)
    weights = tf.constant([256**power for power in range(4)], tf.int64)
    return tf.reduce_sum(digits * weights[: tf.shape(data)[-1]], axis=-1)
