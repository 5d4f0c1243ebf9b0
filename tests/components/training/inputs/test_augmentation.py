"""What augmentation does to images, found out from the images alone."""

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from components.settings.training import AugmentSettings, Views
from components.training.inputs.augmentation import (
    BLOCK,
    Changes,
    augment,
    changes_of_view,
    mix,
    with_partners,
)

RANDOM = np.random.default_rng(0)
# Half a step between two 8-bit pixels, of a range of 1.
HALF_STEP = 0.5 / 255


def changes_by(*, seed: int = 3, view: int = 4, **changes: Any) -> Changes:
    views = Views(number=8, seed=seed, augment=AugmentSettings(**changes))
    return changes_of_view(views, tf.constant(view))


def random_images(*shape: int) -> np.ndarray:
    return (RANDOM.integers(0, 256, shape) / 255).astype(np.float32)


def ids_of(count: int) -> np.ndarray:
    return np.array([f"image {number}" for number in range(count)])


def augmented(images: np.ndarray, **changes: Any) -> np.ndarray:
    pixels = np.float32(images)
    result = augment(tf.constant(pixels), tf.constant(ids_of(len(images))), changes=changes_by(**changes))
    assert result.shape == images.shape
    return result.numpy()


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moves an image of 6x6 by up to 2 pixels, repeating its edges."""
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], mode="edge")
    return padded[2 - down : 8 - down, 2 - right : 8 - right]


def test_flips_mirror_about_half_of_the_images() -> None:
    images = random_images(200, 4, 6, 3)

    result = augmented(images, horizontal_flip=True)

    flipped = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (result == images).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 70 < flipped.sum() < 130


@pytest.mark.parametrize(("shift", "furthest"), [(0.3, 2), (0.17, 1), (0.01, 1)])
def test_shifts_move_each_image_by_whole_pixels_and_repeat_its_edges(shift: float, furthest: int) -> None:
    images = random_images(200, 6, 6, 1)

    result = augmented(images, shift=shift)

    ways = list(itertools.product(range(-furthest, furthest + 1), repeat=2))
    found = [
        next(way for way in ways if np.array_equal(moved(before, *way), after))
        for before, after in zip(images, result, strict=True)
    ]
    assert set(found) == set(ways)


def test_crops_enlarge_a_part_of_at_least_the_given_area() -> None:
    """Of a picture whose pixels say where they are, the corners tell which part was cut out."""
    places = np.rint(np.linspace(0, 255, 32)) / 255
    picture = np.stack([*np.meshgrid(places, places, indexing="ij"), np.zeros((32, 32))], axis=-1)

    result = augmented(np.stack([picture] * 100), crop=0.4)

    heights = result[:, -1, 0, 0] - result[:, 0, 0, 0]
    widths = result[:, 0, -1, 1] - result[:, 0, 0, 1]
    # Either end is rounded twice, in the picture and in the result.
    np.testing.assert_allclose(heights, widths, atol=8 * HALF_STEP)
    assert (heights * widths > 0.4 - 8 * HALF_STEP).all()
    assert (heights * widths).min() < 0.5
    assert (heights * widths).max() > 0.9
    # Enlarging is linear: the middle lies half-way between the corners, wherever the part was.
    middles = result[:, 15:17, 15:17, :2].mean(axis=(1, 2))
    np.testing.assert_allclose(middles, (result[:, 0, 0, :2] + result[:, -1, -1, :2]) / 2, atol=4 * HALF_STEP)
    assert np.ptp(result[:, 0, 0, 0]) > 0.2


def test_padded_crops_move_each_image_over_black_ground() -> None:
    images = random_images(300, 5, 6, 3)

    result = augmented(images, padded_crop=2)

    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    ways = list(itertools.product(range(5), repeat=2))
    found = [
        next(way for way in ways if np.array_equal(before[way[0] :, way[1] :][:5, :6], after))
        for before, after in zip(padded, result, strict=True)
    ]
    assert set(found) == set(ways)


def test_colour_scales_brightness_by_at_most_its_strength() -> None:
    grey = np.full((300, 2, 2, 1), 200 / 255)  # Without contrast, so that only brightness changes.

    factors = augmented(grey, colour=0.2)[:, 0, 0, 0] / (200 / 255)

    assert 0.8 <= factors.min() + 1e-5 < 0.82
    assert 1.18 < factors.max() - 1e-5 <= 1.2


def test_colour_scales_contrast_about_the_mean() -> None:
    images = np.tile(np.array([60, 140]) / 255, (300, 2, 1))[..., None]

    result = augmented(images, colour=0.2)[:, 0, :, 0] * 255

    mean = result.mean(axis=1)
    contrasts = (result[:, 1] - result[:, 0]) / 80 / (mean / 100)
    rounding = 1 / 64  # Of a difference of at least 80 · 0.8, by half a step at either end.
    assert 0.8 - rounding <= contrasts.min() < 0.82
    assert 1.18 < contrasts.max() <= 1.2 + rounding


def test_colour_keeps_grey_grey_and_the_pixels_in_their_range() -> None:
    grey = np.repeat(random_images(50, 4, 4, 1), 3, axis=-1)
    coloured = random_images(50, 4, 4, 3)

    np.testing.assert_allclose(np.ptp(augmented(grey, colour=0.8), axis=-1), 0, atol=2 * HALF_STEP + 1e-6)
    result = augmented(coloured, colour=1.0)
    assert result.min() >= 0
    assert result.max() <= 1
    assert not np.allclose(np.ptp(result, axis=-1), np.ptp(coloured, axis=-1), atol=0.1)


def mixed(images: np.ndarray, partners: np.ndarray, *, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    result, share = mix(
        tf.constant(images),
        tf.constant(partners),
        ids=tf.constant(ids_of(len(images))),
        changes=changes_by(mixup=alpha),
    )
    return result.numpy(), share.numpy()


def test_mixup_mixes_each_image_with_its_partner_by_a_share_of_its_own() -> None:
    images, partners = random_images(4000, 2, 2, 1), random_images(4000, 2, 2, 1)

    result, share = mixed(images, partners, alpha=1.0)

    weight = np.float64(share)[:, None, None, None]
    np.testing.assert_allclose(result, weight * images + (1 - weight) * partners, atol=HALF_STEP + 1e-6)
    # Beta(1, 1) is uniform: the larger of a share and its rest then averages 3/4.
    assert share.min() >= 0.5
    assert share.mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 3.0])
def test_the_shares_of_mixup_follow_its_beta_distribution(alpha: float) -> None:
    images = np.zeros((20_000, 1, 1, 1), np.float32)

    _, shares = mixed(images, images, alpha=alpha)

    # Folding at 1/2 doubles the density of the upper half.
    for share in (0.6, 0.8, 0.99):
        expected = 2 * scipy.stats.beta.sf(share, alpha, alpha)
        assert (shares > share).mean() == pytest.approx(expected, abs=0.015)


def test_mixup_with_a_tiny_alpha_mixes_nothing_and_stays_finite() -> None:
    images = random_images(500, 2, 2, 1)

    result, share = mixed(images, images[::-1].copy(), alpha=1e-4)

    assert np.isfinite(share).all()
    assert (result == images).all(axis=(1, 2, 3)).mean() > 0.99


def test_within_a_block_every_example_is_the_partner_of_another() -> None:
    blocks = tf.data.Dataset.range(BLOCK + 5).batch(BLOCK)  # The last one is smaller.

    def partners_on(view: int) -> list[int]:
        pairs = list(with_partners(blocks, changes=changes_by(mixup=1.0, view=view)).as_numpy_iterator())
        assert [first for first, _ in pairs] == list(range(BLOCK + 5))
        return [int(partner) for _, partner in pairs]

    first, second = partners_on(0), partners_on(1)

    assert sorted(first[:BLOCK]) == list(range(BLOCK))
    assert sorted(first[BLOCK:]) == list(range(BLOCK, BLOCK + 5))
    assert all(number != partner for number, partner in enumerate(first))
    assert first != second


def test_what_one_change_draws_does_not_depend_on_the_others() -> None:
    images = np.full((20, 6, 6, 1), 127 / 255)  # Alike everywhere: a shift changes nothing.

    np.testing.assert_array_equal(
        augmented(images, colour=0.3), augmented(images, colour=0.3, shift=0.3, horizontal_flip=True)
    )
    assert not np.array_equal(augmented(images, colour=0.3), augmented(images, colour=0.3, seed=5))
    assert not np.array_equal(augmented(images, colour=0.3), augmented(images, colour=0.3, view=5))


@pytest.mark.parametrize("shape", [(28, 28, 1), (31, 17, 3)])
def test_an_image_becomes_the_same_bits_in_whatever_batch_it_stands(shape: tuple[int, int, int]) -> None:
    images, ids = tf.constant(random_images(60, *shape)), tf.constant(ids_of(60))
    changes = changes_by(horizontal_flip=True, shift=0.2, crop=0.3, colour=0.4)
    together = augment(images, ids, changes=changes).numpy()

    for size in (1, 7, 32):
        parts = [
            augment(images[start : start + size], ids[start : start + size], changes=changes)
            for start in range(0, 60, size)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)

    np.testing.assert_array_equal(together, (np.rint(together * 255) / 255).astype(np.float32))
