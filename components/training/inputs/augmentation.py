"""Random changes to the images of a training batch.

What is drawn depends on a seed alone, so that a batch that is read again is changed in the same way.
"""

import tensorflow as tf

from components.settings.training import AugmentSettings

_TINY = 1e-30  # Stands for 0 where a logarithm is taken.

Batch = tuple[tf.Tensor, dict[str, tf.Tensor]]


def augment(
    images: tf.Tensor, targets: dict[str, tf.Tensor], *, settings: AugmentSettings, seed: tf.Tensor
) -> Batch:
    """Changes the images of a batch.

    Args:
      images: float32 `[batch, height, width, channels]` in [0, 1], of 1 or 3 channels.
      targets: With `label`, int64 `[batch]`.
      settings: What to change.
      seed: Two integers, `[2]`. What one change draws does not depend on which others there are.

    Returns:
      Images as above, and the targets. With mixup there are two more: `mixed_label`, int64 `[batch]`, the
      label of the image that was mixed in, and `mixing`, float32 `[batch]`, the share of the first image,
      at least 1/2: `label` stays that of the larger share.
    """
    of_flip, of_shift, of_crop, of_colour, of_mixup, of_padded_crop = tf.unstack(tf.random.split(seed, 6))
    if settings.horizontal_flip:
        images = tf.image.stateless_random_flip_left_right(images, of_flip)
    if settings.padded_crop:
        images = _crop_padded(images, pixels=settings.padded_crop, seed=of_padded_crop)
    if settings.shift:
        images = _shift(images, share=settings.shift, seed=of_shift)
    if settings.crop is not None:
        images = _crop(images, share=settings.crop, seed=of_crop)
    if settings.colour:
        images = _change_colour(images, strength=settings.colour, seed=of_colour)
    if settings.mixup:
        images, targets = _mix(images, targets, alpha=settings.mixup, seed=of_mixup)
    return images, targets


def _crop_padded(images: tf.Tensor, *, pixels: int, seed: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
    for axis in (1, 2):
        offsets = tf.random.stateless_uniform(
            [tf.shape(images)[0], 1], tf.random.fold_in(seed, axis), 0, 2 * pixels + 1, tf.int32
        )
        padded = tf.gather(padded, tf.range(images.shape[axis]) + offsets, axis=axis, batch_dims=1)
    return padded


def _shift(images: tf.Tensor, *, share: float, seed: tf.Tensor) -> tf.Tensor:
    for axis in (1, 2):
        size = images.shape[axis]
        furthest = max(1, round(share * size))
        offsets = tf.random.stateless_uniform(
            [tf.shape(images)[0], 1], tf.random.fold_in(seed, axis), -furthest, furthest + 1, tf.int32
        )
        places = tf.clip_by_value(tf.range(size) + offsets, 0, size - 1)
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images


def _crop(images: tf.Tensor, *, share: float, seed: tf.Tensor) -> tf.Tensor:
    count = tf.shape(images)[0]
    area, y, x = tf.unstack(tf.random.stateless_uniform([3, count], seed))
    side = tf.sqrt(share + (1 - share) * area)
    top, left = y * (1 - side), x * (1 - side)
    boxes = tf.stack([top, left, top + side, left + side], axis=1)
    return tf.image.crop_and_resize(images, boxes, tf.range(count), images.shape[1:3])


def _change_colour(images: tf.Tensor, *, strength: float, seed: tf.Tensor) -> tf.Tensor:
    shape = [3, tf.shape(images)[0], 1, 1, 1]
    brightness, contrast, saturation = tf.unstack(
        tf.random.stateless_uniform(shape, seed, 1 - strength, 1 + strength)
    )
    # All three are linear in the pixels, and one pass over them is faster than three.
    scale = brightness * contrast
    offset = brightness * (1 - contrast) * tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    if images.shape[-1] == 3:
        offset += scale * (1 - saturation) * tf.image.rgb_to_grayscale(images)
        scale *= saturation
    return tf.clip_by_value(scale * images + offset, 0.0, 1.0)


def _mix(images: tf.Tensor, targets: dict[str, tf.Tensor], *, alpha: float, seed: tf.Tensor) -> Batch:
    """Mixes each image with the one before it, which the shuffling made a random one."""
    share = _draw_beta(tf.shape(images)[0], alpha=alpha, seed=seed)
    share = tf.maximum(share, 1 - share)
    weight = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
    mixed = weight * images + (1 - weight) * tf.roll(images, 1, axis=0)
    return mixed, targets | {"mixed_label": tf.roll(targets["label"], 1, axis=0), "mixing": share}


def _draw_beta(count: tf.Tensor, *, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws from Beta(alpha, alpha), `[count]`.

    That is X / (X + Y) with X and Y from Gamma(alpha), and X is G U^(1/alpha) with G from Gamma(alpha + 1)
    and U uniform: in logarithms, since for a small alpha both X and Y round to 0.
    """
    of_gamma, of_uniform = tf.unstack(tf.random.split(seed))
    gamma = tf.random.stateless_gamma([2, count], of_gamma, alpha + 1)
    uniform = tf.random.stateless_uniform([2, count], of_uniform, minval=_TINY)
    x, y = tf.unstack(tf.math.log(gamma) + tf.math.log(uniform) / alpha)
    return tf.sigmoid(x - y)
