"""How sure one can be of a difference between models that were asked about the same images."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A paired difference, candidate minus baseline.

    Attributes:
      estimate: The difference on the examples at hand; NaN where it is undefined.
      low: Lower end of the confidence interval; NaN where it is undefined.
      high: Upper end.
      p_value: Two-sided, of the hypothesis that there is no difference; NaN where it is undefined.
    """

    estimate: float
    low: float
    high: float
    p_value: float

    def p_worse(self, *, higher_is_better: bool = True) -> float:
        """Returns the p-value if the candidate looks worse, 1 if it does not; NaN without an estimate."""
        if np.isnan(self.estimate):
            return np.nan
        loss = -self.estimate if higher_is_better else self.estimate
        return self.p_value if loss > 0 else 1.0

    def p_better(self, *, higher_is_better: bool = True) -> float:
        """Returns the p-value if the candidate looks better, 1 if it does not; NaN without an estimate."""
        return self.p_worse(higher_is_better=not higher_is_better)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GapEstimate:
    """The share of the way from scratch to the teacher that a distilled student has gone.

    Attributes:
      estimate: 0 is scratch, 1 the teacher; None where it is undefined.
      low: Lower end of the confidence interval; None where it is undefined.
      high: Upper end.
      reason: Why something is undefined; None if nothing is.
    """

    estimate: float | None
    low: float | None
    high: float | None
    reason: str | None


def compare_accuracies(right: np.ndarray, *, confidence: float) -> PairedDifference:
    """Compares the accuracies of two models on the same examples.

    The interval is Agresti and Min's (2005, doi:10.1002/sim.1781): Wald's, after half an example was added to
    each of the four cells of the paired table. It keeps its level where Wald's does not, with few examples
    or few on which the models differ.

    Args:
      right: The number of examples `[2, 2]` by whether the candidate and whether the baseline is right.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The difference of the shares in [0, 1], with the exact p-value of `mcnemar`.
    """
    wins, losses, examples = int(right[1, 0]), int(right[0, 1]), int(right.sum())
    low, high = paired_interval(wins, losses=losses, examples=examples, confidence=confidence)
    return PairedDifference(
        estimate=(wins - losses) / examples,
        low=float(low),
        high=float(high),
        p_value=mcnemar(wins, losses=losses),
    )


def paired_interval(
    wins: np.ndarray | int, *, losses: np.ndarray | int, examples: int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns Agresti and Min's interval for the difference of two paired shares.

    Args:
      wins: Number of examples that the candidate alone gets right; any shape.
      losses: Number of examples that the baseline alone gets right; the same shape.
      examples: Number of all examples.
      confidence: Level, in (0, 1).

    Returns:
      The lower and the upper end, within [-1, 1].
    """
    total = examples + 2
    difference = np.subtract(wins, losses) / total
    spread = np.sqrt((np.add(wins, losses) + 1) / total - difference**2) / np.sqrt(total)
    width = _quantile(confidence) * spread
    return np.maximum(difference - width, -1), np.minimum(difference + width, 1)


def mcnemar(wins: int, *, losses: int) -> float:
    """Returns the exact two-sided p-value of McNemar's test.

    Args:
      wins: Number of examples that one model alone gets right.
      losses: Number of examples that the other alone gets right.

    Returns:
      The p-value of the hypothesis that both are equally often right; 1 where they never differ.
    """
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def compare_means(differences: Callable[[], Iterable[np.ndarray]], *, confidence: float) -> PairedDifference:
    """Compares the means of a loss of two models on the same examples, by the paired t-test.

    The sums are exact, so that the order of the examples does not matter.

    Args:
      differences: Yields the candidate's loss less the baseline's of each example, some `[examples]` at a
        time; it is called twice.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The difference of the means. Its interval and p-value are NaN if there is but one example, all three
      if there is none or a loss is not finite.
    """
    examples, estimate = _mean(differences())
    if examples < 2 or not np.isfinite(estimate):
        return PairedDifference(estimate=estimate, low=np.nan, high=np.nan, p_value=np.nan)
    _, variance = _mean((piece - estimate) ** 2 for piece in differences())
    error = math.sqrt(variance / (examples - 1))
    if error == 0:  # All are equal: to the t-test 0 / 0.
        return PairedDifference(estimate=estimate, low=estimate, high=estimate, p_value=float(estimate == 0))
    distribution = stats.t(examples - 1)
    width = float(distribution.ppf((1 + confidence) / 2)) * error
    return PairedDifference(
        estimate=estimate,
        low=estimate - width,
        high=estimate + width,
        p_value=float(2 * distribution.sf(abs(estimate) / error)),
    )


def _mean(pieces: Iterable[np.ndarray]) -> tuple[int, float]:
    """Returns how many values there are, and their mean, rounded once; NaN of none, or if one is."""
    count = 0

    def values() -> Iterator[float]:
        nonlocal count
        for piece in pieces:
            count += len(piece)
            yield from piece.tolist()

    total = math.fsum(values())
    return count, total / count if count else math.nan


def gap_closed(
    distilled: np.ndarray,
    *,
    scratch: np.ndarray,
    teacher: np.ndarray,
    counts: np.ndarray | None = None,
    confidence: float,
) -> GapEstimate:
    """Measures the gap closed, (distilled - scratch) / (teacher - scratch), in accuracy.

    The interval is Fieller's (1954): all ratios r for which the mean of
    `(distilled - scratch) - r (teacher - scratch)` does not differ significantly from 0. Unlike the delta
    method and the bootstrap it has its level also where the gap is small, and it says when a ratio means
    nothing: it is bounded only if the gap itself is significant.

    Args:
      distilled: Whether the distilled student is right, or how often of several times, `[kinds]`.
      scratch: Likewise of the student trained from scratch.
      teacher: Likewise of the teacher.
      counts: The number of examples of each kind; None is one of each.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The ratio; undefined, with a reason, unless the teacher is clearly better than scratch.
    """
    counts = np.ones(len(distilled), int) if counts is None else counts
    examples = int(counts.sum())
    gain, gap = distilled.astype(np.float64) - scratch, teacher.astype(np.float64) - scratch
    mean_gain, mean_gap = np.average([gain, gap], axis=1, weights=counts)
    if mean_gap <= 0:
        worse = "is worse than" if mean_gap < 0 else "is no better than"
        return GapEstimate(
            estimate=None, low=None, high=None, reason=f"the teacher {worse} the student trained from scratch"
        )
    if examples > 1:
        moments = np.cov([gain, gap], fweights=counts) / examples
        low, high = fieller_interval(
            mean_gain,
            denominator=mean_gap,
            variance=moments[0, 0],
            denominator_variance=moments[1, 1],
            covariance=moments[0, 1],
            confidence=confidence,
        )
        if np.isfinite(low):
            return GapEstimate(
                estimate=float(mean_gain / mean_gap), low=float(low), high=float(high), reason=None
            )
    reason = "the teacher is not significantly better than the student trained from scratch"
    return GapEstimate(estimate=None, low=None, high=None, reason=reason)


def fieller_interval(
    numerator: np.ndarray | float,
    *,
    denominator: np.ndarray | float,
    variance: np.ndarray | float,
    denominator_variance: np.ndarray | float,
    covariance: np.ndarray | float,
    confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns Fieller's interval for the ratio of two normal means.

    Args:
      numerator: Estimate of the numerator; any shape, which all arguments share.
      denominator: Estimate of the denominator.
      variance: Of the numerator's estimate.
      denominator_variance: Of the denominator's estimate.
      covariance: Of the two estimates.
      confidence: Level, in (0, 1).

    Returns:
      The lower and the upper end; NaN where the denominator is not significantly different from 0.
    """
    square = _quantile(confidence) ** 2
    a = np.square(denominator) - square * denominator_variance
    b = numerator * denominator - square * covariance
    c = np.square(numerator) - square * variance
    # Where a > 0, the roots are real: the ratio of the estimates solves the inequality.
    root = np.sqrt(np.maximum(b**2 - a * c, 0))
    bounded = np.where(a > 0, a, np.nan)
    return (b - root) / bounded, (b + root) / bounded


def _quantile(confidence: float) -> float:
    """Returns the standard normal's quantile for a two-sided interval."""
    return float(stats.norm.ppf((1 + confidence) / 2))
