"""What is stored of a teacher's logits for an image, in bytes.

They are the logits of all classes, in little-endian float16. That rounds a logit of 1 by 0.0005 at most, and
one of 1,000 by 0.25; beyond 65,504 it is cut.

Of many classes they may be those of the K most likely alone, in the order of the classes, with one logit
before them that stands for each of the others, and the numbers of their classes after them. That logit is
such that the others have together the probability that they had, which is now spread evenly over them:
marginal smoothing with top-K, Shen and Xing 2022, https://arxiv.org/abs/2112.01528.
"""

import numpy as np
import scipy.special
import tensorflow as tf

HALF = tf.float16


def pack(logits: np.ndarray, *, top_k: int | None = None) -> np.ndarray:
    """Returns what is stored of logits, uint8 `[..., bytes]`; of the same the same.

    Args:
      logits: Float32 `[..., num_classes]`.
      top_k: Of how many classes they are stored one by one; None is of all, and so is what takes no less.
    """
    if not leaves_out(top_k, num_classes=logits.shape[-1]):
        return _halves(logits)
    ranked = np.argsort(-logits, axis=-1, kind="stable")
    most_likely = np.sort(ranked[..., :top_k], axis=-1)
    others = np.take_along_axis(logits, ranked[..., top_k:], axis=-1)
    of_each = scipy.special.logsumexp(others, axis=-1, keepdims=True) - np.log(others.shape[-1])
    stored = np.concatenate([of_each, np.take_along_axis(logits, most_likely, axis=-1)], axis=-1)
    numbers = most_likely.astype(_number_of(logits.shape[-1]).as_numpy_dtype).view(np.uint8)
    return np.concatenate([_halves(stored), numbers], axis=-1)


def unpack(stored: tf.Tensor, *, num_classes: int) -> tf.Tensor:
    """Returns logits, float32 `[images, num_classes]`.

    Args:
      stored: A string for each image, `[images]`, all of the same `pack`.
      num_classes: How many classes there are.
    """

    def of_all() -> tf.Tensor:
        return tf.cast(tf.ensure_shape(tf.io.decode_raw(stored, HALF), [None, num_classes]), tf.float32)

    def of_most_likely() -> tf.Tensor:
        number = _number_of(num_classes)
        top_k = (tf.strings.length(stored[0]) - HALF.size) // (HALF.size + number.size)
        end = HALF.size * (top_k + 1)
        logits = tf.cast(tf.io.decode_raw(tf.strings.substr(stored, 0, end), HALF), tf.float32)
        classes = tf.io.decode_raw(tf.strings.substr(stored, end, number.size * top_k), number)
        images = tf.repeat(tf.range(tf.shape(stored)[0]), top_k)
        places = tf.stack([images, tf.reshape(tf.cast(classes, tf.int32), [-1])], axis=-1)
        spread = tf.repeat(logits[:, :1], num_classes, axis=1)
        return tf.tensor_scatter_nd_update(spread, places, tf.reshape(logits[:, 1:], [-1]))

    return tf.cond(tf.strings.length(stored[0]) == HALF.size * num_classes, of_all, of_most_likely)


def leaves_out(top_k: int | None, *, num_classes: int) -> bool:
    """Tells whether logits are left out: not if those of all classes take no more.

    Args:
      top_k: See `pack`.
      num_classes: How many classes there are.
    """
    if top_k is None:
        return False
    return HALF.size + top_k * (HALF.size + _number_of(num_classes).size) < HALF.size * num_classes


def _number_of(num_classes: int) -> tf.DType:
    """Returns the type of the number of a class."""
    return tf.uint16 if num_classes <= tf.uint16.max + 1 else tf.int32


def _halves(logits: np.ndarray) -> np.ndarray:
    """Rounds logits, which may be infinite or no number; returns their bytes."""
    most = np.finfo(HALF.as_numpy_dtype).max
    cut = np.where(np.isfinite(logits), np.clip(logits, -most, most), logits)
    return cut.astype(HALF.as_numpy_dtype).view(np.uint8)
