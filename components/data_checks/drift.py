"""How far the training images of a run have drifted from those of another.

The effect is the Jensen-Shannon distance, whatever the number of images. A test says whether it is more than
chance: of few images two samples of one distribution are some way apart, and of many any difference is
significant.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from scipy.spatial import distance

from components.data_checks.profile import Profile
from components.errors import DriftError
from components.report.summary import Drift, FeatureDrift
from components.report.wording import p_value, percent
from components.settings.data_checks import DriftSettings

# How many images a cell must be expected to have for the chi-squared test: Cochran, "Some methods for
# strengthening the common chi-squared tests", 1954, doi:10.2307/3001616.
_LEAST_EXPECTED = 5


class _Pair(NamedTuple):
    """The two distributions of a feature, as counts of the same bins `[bins]`, and what has changed."""

    feature: str
    before: np.ndarray
    now: np.ndarray
    detail: str


def compare(
    before: Profile, now: Profile, *, version: str, settings: DriftSettings, significance_level: float
) -> Drift:
    """Compares two profiles, feature by feature.

    Args:
      before: That of what the student that ships was trained on.
      now: That of this run.
      version: Of the student that ships.
      settings: What is told, and what stops the run.
      significance_level: Of the tests, for all features together.
    """
    pairs = list(_pairs(before, now))
    p_values = holm([chi_squared(pair.before, pair.now) for pair in pairs])
    features = []
    for pair, p in zip(pairs, p_values, strict=True):
        apart = jensen_shannon(pair.before, pair.now)
        features.append(
            FeatureDrift(
                feature=pair.feature,
                distance=apart,
                p_value=p,
                status=_status(apart, settings) if p <= significance_level else "none",
                detail=pair.detail,
            )
        )
    return Drift(
        version=version, images_before=before.images, images_now=now.images, features=tuple(features)
    )


def check(drift: Drift, settings: DriftSettings) -> None:
    """Stops the run where a feature has drifted too far.

    Raises:
      DriftError: One has.
    """
    stopping = [each for each in drift.features if each.status == "stop"]
    if stopping:
        raise DriftError(
            "The training images have drifted from those that the student that ships, version "
            f"{drift.version}, was trained on, further than drift.stop allows ({settings.stop:g}): "
            f"{'; '.join(map(describe, stopping))}; check the data, or raise drift.stop."
        )


def describe(found: FeatureDrift) -> str:
    """Says how far a feature has drifted, in a few words."""
    return (
        f"{found.feature}, Jensen-Shannon distance {found.distance:.2f}, "
        f"p {_relation(found.p_value)} ({found.detail})"
    )


def jensen_shannon(before: np.ndarray, now: np.ndarray) -> float:
    """Returns the Jensen-Shannon distance of two distributions.

    It is the root of the divergence to base 2 (Lin, 1991, doi:10.1109/18.61115), a metric (Endres and
    Schindelin, 2003, doi:10.1109/TIT.2003.813506) that is 0 for equal distributions and 1 for those that have
    nothing in common. Two normal distributions of one spread are 0.1 apart if their means are a quarter of
    their standard deviation apart, and 0.3 if it is three quarters.

    Args:
      before: Counts `[bins]`, not all 0.
      now: Counts of the same bins, likewise.
    """
    # Rounding may make a divergence of 0 slightly negative, whose root is NaN.
    return float(np.clip(np.nan_to_num(distance.jensenshannon(before, now, base=2)), 0, 1))


def chi_squared(before: np.ndarray, now: np.ndarray) -> float:
    """Tests whether two samples are of one distribution.

    It is Pearson's test of homogeneity. Neighbouring bins are pooled until each is expected to have enough
    images.

    Args:
      before: Counts `[bins]`, not all 0.
      now: Counts of the same bins, likewise.

    Returns:
      The p-value; 1 where there are too few images to tell.
    """
    table = _pooled(np.stack([before, now]))
    return float(stats.chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values so that together they keep their level: Holm, 1979, doi:10.2307/4615733."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return adjusted.tolist()


def _pooled(table: np.ndarray) -> np.ndarray:
    """Pools neighbouring bins of a table `[2, bins]` until the smaller sample is expected in each."""
    least = _LEAST_EXPECTED * table.sum() / table.sum(axis=1).min()
    pools: list[np.ndarray] = []
    rest = np.zeros(2, table.dtype)
    for column in table.T:
        rest = rest + column
        if rest.sum() >= least:
            pools.append(rest)
            rest = np.zeros_like(rest)
    if pools:
        pools[-1] = pools[-1] + rest
    return np.stack(pools or [rest], axis=1)


def _pairs(before: Profile, now: Profile) -> Iterator[_Pair]:
    for feature, new in now.categories.items():
        if feature not in before.categories:
            continue
        old = before.categories[feature]
        names = list(dict.fromkeys([*new, *old]))
        counts = np.array([[each.get(name, 0) for name in names] for each in (old, new)])
        shares = counts / counts.sum(axis=1, keepdims=True)
        most = int(np.argmax(abs(shares[1] - shares[0])))
        detail = f"{names[most]}: {percent(shares[0, most])} before, {percent(shares[1, most])} now"
        yield _Pair(feature, counts[0], counts[1], detail)
    for feature, histogram in now.numbers.items():
        if feature in before.numbers:
            earlier = before.numbers[feature]
            detail = f"mean {earlier.mean:.4g} before, {histogram.mean:.4g} now"
            yield _Pair(feature, np.array(earlier.counts), np.array(histogram.counts), detail)


def _status(apart: float, settings: DriftSettings) -> Literal["none", "warn", "stop"]:
    if settings.stop is not None and apart >= settings.stop:
        return "stop"
    return "warn" if settings.warn is not None and apart >= settings.warn else "none"


def _relation(p: float) -> str:
    words = p_value(p)
    return words if words.startswith("<") else f"= {words}"
