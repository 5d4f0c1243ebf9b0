import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from components.data_checks.descriptors import SCHEMA
from components.data_checks.drift import check, chi_squared, compare, describe, holm, jensen_shannon
from components.data_checks.profile import Histogram, Profile, make_profile
from components.errors import DriftError
from components.settings.data_checks import DriftSettings


def counts(*numbers):
    return np.array(numbers)


def test_the_distance_of_two_distributions_worked_by_hand():
    # The mean of (1, 0) and (1/2, 1/2) is (3/4, 1/4), of entropy 0.8113 bits; theirs are 0 and 1.
    divergence = -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25) - 0.5
    assert divergence == pytest.approx(0.31128, abs=1e-5)
    assert jensen_shannon(counts(7, 0), counts(40, 40)) == pytest.approx(math.sqrt(divergence))


def test_the_distance_goes_from_nothing_changed_to_nothing_in_common():
    assert jensen_shannon(counts(1, 2, 3), counts(100, 200, 300)) == 0
    assert jensen_shannon(counts(5, 5, 0), counts(0, 0, 3)) == 1


@pytest.mark.parametrize(("shift", "distance"), [(0.25, 0.1), (0.75, 0.3)])
def test_the_distances_of_shifted_normal_distributions_are_those_of_the_documentation(shift, distance):
    edges = np.linspace(-6, 6, 200)
    before, now = (np.diff(stats.norm.cdf(edges, loc=mean)) for mean in (0, shift))
    assert jensen_shannon(before, now) == pytest.approx(distance, abs=0.02)


def test_the_test_of_a_table_worked_by_hand():
    # 80 (30 * 20 - 10 * 20)² / (40 * 40 * 50 * 30) = 16 / 3, with one degree of freedom.
    expected = math.erfc(math.sqrt(16 / 3 / 2))
    assert chi_squared(counts(30, 10), counts(20, 20)) == pytest.approx(expected)


def test_bins_with_too_few_images_are_pooled_with_their_neighbours():
    # Of 40 and 40 images a bin needs 10: (2 + 28, 10 + 0) against (1 + 19, 19 + 1) is the table above.
    assert chi_squared(counts(2, 28, 10, 0), counts(1, 19, 19, 1)) == pytest.approx(
        chi_squared(counts(30, 10), counts(20, 20))
    )
    assert chi_squared(counts(2, 0), counts(0, 2)) == 1


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == [1, 1]
    assert holm([]) == []


def profile(brightness, *, labels=None, seed=0):
    """That of images of one size, of a brightness with deviation 30 around a mean."""
    rng = np.random.default_rng(seed)
    labels = [0, 1] * 500 if labels is None else labels
    columns = {
        "id": [str(number) for number in range(len(labels))],
        "label": labels,
        "sha256": [bytes(32)] * len(labels),
        "height": [32] * len(labels),
        "width": [32] * len(labels),
        "brightness": rng.normal(brightness, 30, len(labels)).clip(0, 255),
        "contrast": rng.normal(50, 10, len(labels)).clip(0, 127),
        "phash": [None] * len(labels),
        "thumbnail": [None] * len(labels),
    }
    return make_profile([pa.table(columns, schema=SCHEMA)], class_names=["ant", "bee"])


def compared(before, now, *, warn=0.1, stop=None):
    settings = DriftSettings(warn=warn, stop=stop)
    return compare(before, now, version="17", settings=settings, significance_level=0.05)


def statuses(drift):
    return {each.feature: each.status for each in drift.features}


def test_names_what_has_drifted_and_how_far():
    before = profile(120)
    darker = compared(before, profile(60, labels=[0] * 900 + [1] * 100, seed=1), stop=0.5)
    assert (darker.version, darker.images_before, darker.images_now) == ("17", 1000, 1000)
    assert statuses(darker) == {
        "label": "warn",
        "height": "none",
        "width": "none",
        "brightness": "stop",
        "contrast": "none",
    }
    label, height, _, brightness, _ = darker.features
    # Of (1/2, 1/2) and (9/10, 1/10): the mean is (7/10, 3/10).
    entropy = lambda p: -p * math.log2(p) - (1 - p) * math.log2(1 - p)  # noqa: E731
    assert label.distance == pytest.approx(math.sqrt(entropy(0.7) - (entropy(0.5) + entropy(0.9)) / 2))
    assert label.detail == "ant: 50.0\N{NO-BREAK SPACE}% before, 90.0\N{NO-BREAK SPACE}% now"
    assert (height.distance, height.p_value) == (0, 1)
    with pytest.raises(DriftError) as caught:
        check(darker, DriftSettings(stop=0.5))
    assert str(caught.value) == (
        "The training images have drifted from those that the student that ships, version 17, was trained "
        "on, further than drift.stop allows (0.5): brightness, Jensen-Shannon distance "
        f"{brightness.distance:.2f}, p < 0.001 ({brightness.detail}); check the data, or raise drift.stop."
    )
    assert brightness.detail.startswith("mean 1")
    check(compared(before, profile(60)), DriftSettings())


def test_a_shift_that_is_significant_but_small_is_no_drift():
    drift = compared(profile(120, labels=[0, 1] * 20_000), profile(123, labels=[0, 1] * 20_000, seed=1))
    (brightness,) = (each for each in drift.features if each.feature == "brightness")
    assert brightness.p_value < 0.001
    assert brightness.status == "none"


def test_of_few_images_chance_alone_is_no_drift():
    """Of 60 images two samples are some way apart; in 200 comparisons a drift is told in 5 % at most."""
    told, largest = 0, 0.0
    for seed in range(200):
        drift = compared(
            profile(120, labels=[0, 1] * 30, seed=seed), profile(120, labels=[1, 0] * 30, seed=1000 + seed)
        )
        told += any(each.status != "none" for each in drift.features)
        largest = max(largest, *(each.distance for each in drift.features))
    assert largest > 0.3
    assert told <= 10


def test_classes_are_compared_by_their_names():
    def of_classes(**shares):
        return Profile(images=100, categories={"label": shares}, numbers={})

    (same,) = compared(of_classes(ant=60, bee=40), of_classes(bee=40, ant=60)).features
    assert same.distance == 0
    (other,) = compared(of_classes(ant=50, bee=50), of_classes(ant=50, wasp=50)).features
    # (1/2, 1/2, 0) and (1/2, 0, 1/2): the mean (1/2, 1/4, 1/4) has 1.5 bits, each of the two 1.
    assert other.distance == pytest.approx(math.sqrt(0.5))
    assert "(wasp: 0.0" in describe(other)


def test_what_only_one_of_them_knows_is_not_compared():
    histogram = Histogram(mean=1.0, counts=(1, 2))
    before = Profile(images=3, categories={"label": {"ant": 3}}, numbers={"new": histogram})
    now = Profile(images=3, categories={}, numbers={"new": histogram, "newer": histogram})
    assert [each.feature for each in compared(before, now).features] == ["new"]
