"""Random changes to training images.

What becomes of an image follows from its pixels, its id, and a key that names the occasion, such as an epoch:
never from the batch in which it stands. Whoever changes it again with that key gets the same bits: numbers
are drawn by hashing, pixels are computed each for itself or from sums of whole numbers, and each change ends
in pixels of 8 bits, as images are stored and served.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy import special

from components.files import sha256
from components.settings.training import AugmentSettings, TrainingJob, Views

# Examples of one file among which partners for mixup are found: of few, reading ahead takes little memory.
BLOCK = 64

_UNIFORM_STEPS = 2**24  # As many as float32 can tell apart.
_BETA_QUANTILES = 4096
_LUMA = (0.2989, 0.587, 0.114)  # As in tf.image.rgb_to_grayscale.


class Changes(NamedTuple):
    """How images are changed, and the key of the occasion, a string scalar."""

    settings: AugmentSettings
    key: tf.Tensor


def changes_in_epoch(job: TrainingJob, epoch: tf.Tensor) -> Changes | None:
    """Returns how a job's images are changed in an epoch, an integer scalar; None if they are not."""
    if job.views is not None:
        return changes_of_view(job.views, epoch % job.views.number)
    if job.augment is not None:
        return _changes(job.augment, f"{job.seed} epoch", epoch)
    return None


def changes_of_view(views: Views, view: tf.Tensor) -> Changes:
    """Returns how a view, an integer scalar from 0, is made."""
    return _changes(views.augment, f"{views.seed} view", view)


def fingerprint_views(views: Views) -> str:
    """Returns a hash over all that decides the views of an image, in hexadecimal."""
    parts = (views.model_dump_json(), sha256(__file__), tf.__version__)
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _changes(settings: AugmentSettings, occasion: str, number: tf.Tensor) -> Changes:
    return Changes(settings, tf.strings.join([occasion, tf.strings.as_string(number)], " "))


def augment(images: tf.Tensor, ids: tf.Tensor, *, changes: Changes) -> tf.Tensor:
    """Changes images, each for itself.

    Args:
      images: float32 `[batch, height, width, channels]` in [0, 1], 8-bit pixels of 1 or 3 channels.
      ids: Of the images, string `[batch]`.
      changes: How, but for mixup. What one change draws does not depend on which others there are.

    Returns:
      Images as above.
    """
    settings = changes.settings
    pixels, draws = tf.round(255 * images), _Draws(key=changes.key, ids=ids)
    if settings.horizontal_flip:
        pixels = _flip(pixels, draws)
    if settings.padded_crop:
        pixels = _crop_padded(pixels, draws, margin=settings.padded_crop)
    if settings.shift:
        pixels = _shift(pixels, draws, share=settings.shift)
    if settings.crop is not None:
        pixels = _crop(pixels, draws, share=settings.crop)
    if settings.colour:
        pixels = _change_colour(pixels, draws, strength=settings.colour)
    return pixels / 255


def mix(
    images: tf.Tensor, partners: tf.Tensor, *, ids: tf.Tensor, changes: Changes
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each image with its partner.

    Args:
      images: float32 `[batch, height, width, channels]` in [0, 1], 8-bit pixels.
      partners: Likewise.
      ids: Of the images, string `[batch]`.
      changes: With mixup: the shares are drawn from Beta(alpha, alpha).

    Returns:
      Images as above, and the share of the first image in each, at least 1/2, float32 `[batch]`.
    """
    ranks = (np.arange(_BETA_QUANTILES) + 0.5) / _BETA_QUANTILES
    alpha = changes.settings.mixup
    quantiles = special.betaincinv(alpha, alpha, (1 + ranks) / 2)  # Of the larger share, by symmetry.
    drawn = _Draws(key=changes.key, ids=ids).below(_BETA_QUANTILES, "share")
    share = tf.gather(tf.constant(quantiles, tf.float32), drawn)
    weight = _of_images(share)
    return tf.round(255 * (weight * images + (1 - weight) * partners)) / 255, share


def with_partners(blocks: tf.data.Dataset, *, changes: Changes) -> tf.data.Dataset:
    """Puts beside each example the one that it is mixed with.

    Args:
      blocks: Of each file `BLOCK` examples at a time, in order: tuples of string tensors `[block]`, the first
        with the examples themselves.
      changes: On whose occasion; on another, others are mixed.

    Returns:
      Single examples, in the same order: tuples of string scalars, the last with the partner.
    """

    def pair(*columns: tf.Tensor) -> tuple[tf.Tensor, ...]:
        others = tf.maximum(tf.size(columns[0], tf.int64) - 1, 1)
        distance = 1 + tf.strings.to_hash_bucket_fast(changes.key, _UNIFORM_STEPS) % others
        return *columns, tf.roll(columns[0], distance, axis=0)

    return blocks.map(pair).unbatch()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Draws:
    """Random numbers for the images of a batch: hashes of the occasion, the image's id and a name."""

    key: tf.Tensor
    ids: tf.Tensor

    def below(self, bound: int, name: str) -> tf.Tensor:
        """Draws whole numbers from 0 to below a bound, int64 `[batch]`."""
        return tf.strings.to_hash_bucket_fast(tf.strings.join([self.key, name, self.ids], "/"), bound)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Draws numbers between two bounds, float32 `[batch]`."""
        drawn = tf.cast(self.below(_UNIFORM_STEPS, name), tf.float32) / _UNIFORM_STEPS
        return low + (high - low) * drawn


def _flip(pixels: tf.Tensor, draws: _Draws) -> tf.Tensor:
    flipped = tf.cast(_of_images(draws.below(2, "flip")), tf.float32)
    return flipped * tf.reverse(pixels, axis=[2]) + (1 - flipped) * pixels


def _shift(pixels: tf.Tensor, draws: _Draws, *, share: float) -> tf.Tensor:
    for axis, name in ((1, "down"), (2, "right")):
        size = pixels.shape[axis]
        furthest = max(1, round(share * size))
        offsets = draws.below(2 * furthest + 1, name) - furthest
        places = tf.clip_by_value(tf.range(size, dtype=tf.int64) + offsets[:, tf.newaxis], 0, size - 1)
        pixels = tf.gather(pixels, places, axis=axis, batch_dims=1)
    return pixels


def _crop_padded(pixels: tf.Tensor, draws: _Draws, *, margin: int) -> tf.Tensor:
    padded = tf.pad(pixels, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    for axis, name in ((1, "padded down"), (2, "padded right")):
        places = tf.range(pixels.shape[axis], dtype=tf.int64)
        offsets = draws.below(2 * margin + 1, name)
        padded = tf.gather(padded, places + offsets[:, tf.newaxis], axis=axis, batch_dims=1)
    return padded


def _crop(pixels: tf.Tensor, draws: _Draws, *, share: float) -> tf.Tensor:
    side = tf.sqrt(draws.uniform("area", share, 1.0))
    top, left = draws.uniform("top") * (1 - side), draws.uniform("left") * (1 - side)
    boxes = tf.stack([top, left, top + side, left + side], axis=1)
    number_of_box = tf.range(tf.shape(pixels)[0])
    return tf.round(tf.image.crop_and_resize(pixels, boxes, number_of_box, pixels.shape[1:3]))


def _change_colour(pixels: tf.Tensor, draws: _Draws, *, strength: float) -> tf.Tensor:
    brightness, contrast, saturation = (
        _of_images(draws.uniform(name, 1 - strength, 1 + strength))
        for name in ("brightness", "contrast", "saturation")
    )
    # A sum of whole numbers is exact in float64, in whatever order they are added.
    total = tf.reduce_sum(tf.cast(pixels, tf.float64), axis=[1, 2, 3], keepdims=True)
    mean = tf.cast(total, tf.float32) / float(np.prod(pixels.shape[1:]))
    # All three are linear in the pixels, and one pass over them is faster than three.
    scale = brightness * contrast
    offset = brightness * (1 - contrast) * mean
    if pixels.shape[-1] == 3:
        red, green, blue = (weight * pixels[..., i : i + 1] for i, weight in enumerate(_LUMA))
        offset += scale * (1 - saturation) * (red + green + blue)
        scale *= saturation
    return tf.round(tf.clip_by_value(scale * pixels + offset, 0.0, 255.0))


def _of_images(values: tf.Tensor) -> tf.Tensor:
    """Returns one value for each image, `[batch]`, in the shape of images, `[batch, 1, 1, 1]`."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
