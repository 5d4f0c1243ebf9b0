"""How sure one can be of a difference between models that were asked about the same images."""

import dataclasses

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


def compare_accuracies(candidate: np.ndarray, *, baseline: np.ndarray, confidence: float) -> PairedDifference:
    """Compares the accuracies of two models on the same examples.

    The interval is Agresti and Min's (2005, doi:10.1002/sim.1781): Wald's, after half an example was added to
    each of the four cells of the paired table. It keeps its level where Wald's does not, with few examples
    or few on which the models differ.

    Args:
      candidate: Whether the candidate is right, bool `[examples]`.
      baseline: Whether the baseline is right, likewise.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The difference of the shares in [0, 1], with the exact p-value of `mcnemar`.
    """
    wins = int(np.count_nonzero(candidate & ~baseline))
    losses = int(np.count_nonzero(~candidate & baseline))
    low, high = paired_interval(wins, losses=losses, examples=len(candidate), confidence=confidence)
    return PairedDifference(
        estimate=(wins - losses) / len(candidate),
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


def compare_means(candidate: np.ndarray, *, baseline: np.ndarray, confidence: float) -> PairedDifference:
    """Compares the means of a loss of two models on the same examples, by the paired t-test.

    Args:
      candidate: The candidate's loss of each example, `[examples]`.
      baseline: The baseline's.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The difference of the means. Its interval and p-value are NaN if there is but one example, all three
      if a loss is not finite.
    """
    differences = candidate - baseline
    estimate = float(differences.mean())
    if len(differences) < 2 or not np.isfinite(estimate):
        return PairedDifference(estimate=estimate, low=np.nan, high=np.nan, p_value=np.nan)
    if np.ptp(differences) == 0:  # To the t-test 0 / 0.
        return PairedDifference(estimate=estimate, low=estimate, high=estimate, p_value=float(estimate == 0))
    test = stats.ttest_rel(candidate, baseline)
    interval = test.confidence_interval(confidence)
    return PairedDifference(
        estimate=estimate,
        low=float(interval.low),
        high=float(interval.high),
        p_value=float(test.pvalue),
    )


def gap_closed(
    distilled: np.ndarray, *, scratch: np.ndarray, teacher: np.ndarray, confidence: float
) -> GapEstimate:
    """Measures the gap closed, (distilled - scratch) / (teacher - scratch), in accuracy.

    The interval is Fieller's (1954): all ratios r for which the mean of
    `(distilled - scratch) - r (teacher - scratch)` does not differ significantly from 0. Unlike the delta
    method and the bootstrap it has its level also where the gap is small, and it says when a ratio means
    nothing: it is bounded only if the gap itself is significant.

    Args:
      distilled: Whether the distilled student is right, bool `[examples]`.
      scratch: Whether the student trained from scratch is right.
      teacher: Whether the teacher is right.
      confidence: Level of the interval, in (0, 1).

    Returns:
      The ratio; undefined, with a reason, unless the teacher is clearly better than scratch.
    """
    gain = distilled.astype(np.float64) - scratch
    gap = teacher.astype(np.float64) - scratch
    if gap.mean() <= 0:
        worse = "is worse than" if gap.mean() < 0 else "is no better than"
        return GapEstimate(
            estimate=None, low=None, high=None, reason=f"the teacher {worse} the student trained from scratch"
        )
    if len(gap) > 1:
        moments = np.cov(np.stack([gain, gap])) / len(gap)
        low, high = fieller_interval(
            gain.mean(),
            denominator=gap.mean(),
            variance=moments[0, 0],
            denominator_variance=moments[1, 1],
            covariance=moments[0, 1],
            confidence=confidence,
        )
        if np.isfinite(low):
            return GapEstimate(
                estimate=float(gain.mean() / gap.mean()), low=float(low), high=float(high), reason=None
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
