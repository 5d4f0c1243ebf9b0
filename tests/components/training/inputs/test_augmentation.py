"""What augmentation does to images, found out from the images alone."""

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from components.settings.training import AugmentSettings
from components.training.inputs.augmentation import augment

RANDOM = np.random.default_rng(0)


def augmented(images: np.ndarray, *, seed: tuple[int, int] = (3, 4), **changes: Any) -> np.ndarray:
    targets = {"label": tf.zeros(len(images), tf.int64)}
    result, _ = augment(
        tf.constant(images, tf.float32), targets, settings=AugmentSettings(**changes), seed=tf.constant(seed)
    )
    assert result.shape == images.shape
    return result.numpy()


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moves an image of 6x6 by up to 2 pixels, repeating its edges."""
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], mode="edge")
    return padded[2 - down : 8 - down, 2 - right : 8 - right]


def test_flips_mirror_about_half_of_the_images() -> None:
    images = RANDOM.random((200, 4, 6, 3), dtype=np.float32)

    result = augmented(images, horizontal_flip=True)

    flipped = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (result == images).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 70 < flipped.sum() < 130


@pytest.mark.parametrize(("shift", "furthest"), [(0.3, 2), (0.17, 1), (0.01, 1)])
def test_shifts_move_each_image_by_whole_pixels_and_repeat_its_edges(shift: float, furthest: int) -> None:
    images = RANDOM.random((200, 6, 6, 1), dtype=np.float32)

    result = augmented(images, shift=shift)

    ways = list(itertools.product(range(-furthest, furthest + 1), repeat=2))
    found = [
        next(way for way in ways if np.array_equal(moved(before, *way), after))
        for before, after in zip(images, result, strict=True)
    ]
    assert set(found) == set(ways)


def test_crops_enlarge_a_part_of_at_least_the_given_area() -> None:
    """Of a picture whose pixels say where they are, the corners tell which part was cut out."""
    places = np.linspace(0, 1, 32, dtype=np.float32)
    picture = np.stack([*np.meshgrid(places, places, indexing="ij"), np.zeros((32, 32))], axis=-1)

    result = augmented(np.stack([picture] * 100), crop=0.4)

    heights = result[:, -1, 0, 0] - result[:, 0, 0, 0]
    widths = result[:, 0, -1, 1] - result[:, 0, 0, 1]
    np.testing.assert_allclose(heights, widths, atol=1e-5)
    assert (heights * widths > 0.4 - 1e-5).all()
    assert (heights * widths).min() < 0.5
    assert (heights * widths).max() > 0.9
    # Enlarging is linear: the middle lies half-way between the corners, wherever the part was.
    middles = result[:, 15:17, 15:17, :2].mean(axis=(1, 2))
    np.testing.assert_allclose(middles, (result[:, 0, 0, :2] + result[:, -1, -1, :2]) / 2, atol=1e-5)
    assert np.ptp(result[:, 0, 0, 0]) > 0.2


def test_padded_crops_move_each_image_over_black_ground() -> None:
    images = RANDOM.random((300, 5, 6, 3), dtype=np.float32)

    result = augmented(images, padded_crop=2)

    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    ways = list(itertools.product(range(5), repeat=2))
    found = [
        next(way for way in ways if np.array_equal(before[way[0] :, way[1] :][:5, :6], after))
        for before, after in zip(padded, result, strict=True)
    ]
    assert set(found) == set(ways)


def test_colour_scales_brightness_by_at_most_its_strength() -> None:
    grey = np.full((300, 2, 2, 1), 0.5, np.float32)  # Without contrast, so that only brightness changes.

    factors = augmented(grey, colour=0.2)[:, 0, 0, 0] / 0.5

    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() <= 1.2


def test_colour_scales_contrast_about_the_mean() -> None:
    images = np.tile(np.array([0.3, 0.5], np.float32), (300, 2, 1))[..., None]

    result = augmented(images, colour=0.2)[:, 0, :, 0]

    mean = result.mean(axis=1)
    contrasts = (result[:, 1] - result[:, 0]) / 0.2 / (mean / 0.4)
    assert 0.8 <= contrasts.min() + 1e-5 < 0.82
    assert 1.18 < contrasts.max() - 1e-5 <= 1.2


def test_colour_keeps_grey_grey_and_the_pixels_in_their_range() -> None:
    grey = np.repeat(RANDOM.random((50, 4, 4, 1), dtype=np.float32), 3, axis=-1)
    coloured = RANDOM.random((50, 4, 4, 3), dtype=np.float32)

    np.testing.assert_allclose(np.ptp(augmented(grey, colour=0.8), axis=-1), 0, atol=1e-5)
    result = augmented(coloured, colour=1.0)
    assert result.min() >= 0
    assert result.max() <= 1
    assert not np.allclose(np.ptp(result, axis=-1), np.ptp(coloured, axis=-1), atol=0.1)


def test_mixup_mixes_images_and_says_how() -> None:
    """The value of every pixel is the number of its image, which is also its label."""
    numbers = np.arange(4000)
    images = np.broadcast_to(numbers[:, None, None, None], (4000, 2, 2, 1)).astype(np.float32)

    mixed, targets = augment(
        tf.constant(images),
        {"label": tf.constant(numbers)},
        settings=AugmentSettings(mixup=1.0),
        seed=tf.constant([3, 4]),
    )

    share = targets["mixing"].numpy()
    expected = share * numbers + (1 - share) * targets["mixed_label"].numpy()
    np.testing.assert_allclose(mixed[:, 1, 0, 0], expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(targets["label"], numbers)
    assert sorted(targets["mixed_label"].numpy()) == list(numbers)
    assert (targets["mixed_label"].numpy() != numbers).all()
    # Beta(1, 1) is uniform: the larger of a share and its rest then averages 3/4.
    assert share.min() >= 0.5
    assert share.mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 3.0])
def test_the_shares_of_mixup_follow_its_beta_distribution(alpha: float) -> None:
    count = 20_000
    _, targets = augment(
        tf.zeros((count, 1, 1, 1)),
        {"label": tf.zeros(count, tf.int64)},
        settings=AugmentSettings(mixup=alpha),
        seed=tf.constant([3, 4]),
    )

    # Folding at 1/2 doubles the density of the upper half.
    for share in (0.6, 0.8, 0.99):
        expected = 2 * scipy.stats.beta.sf(share, alpha, alpha)
        assert (targets["mixing"].numpy() > share).mean() == pytest.approx(expected, abs=0.015)


def test_mixup_with_a_tiny_alpha_mixes_nothing_and_stays_finite() -> None:
    images = RANDOM.random((500, 2, 2, 1), dtype=np.float32)

    np.testing.assert_allclose(augmented(images, mixup=1e-4), images, atol=1e-3)


def test_what_one_change_draws_does_not_depend_on_the_others() -> None:
    images = np.full((20, 6, 6, 1), 0.5, np.float32)  # Alike everywhere: a shift changes nothing.

    np.testing.assert_array_equal(
        augmented(images, colour=0.3), augmented(images, colour=0.3, shift=0.3, horizontal_flip=True)
    )
    assert not np.array_equal(augmented(images, colour=0.3), augmented(images, colour=0.3, seed=(3, 5)))
