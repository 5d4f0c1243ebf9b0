import math

import numpy as np
import pytest
from scipy import stats

from components.evaluator.judge.statistics import (
    compare_accuracies,
    compare_means,
    fieller_interval,
    gap_closed,
    mcnemar,
    paired_interval,
)

SIMULATIONS = 1000


def pairs(both, wins, losses, neither):
    """So many examples of each kind, by whether candidate and baseline are right."""
    return np.array([[neither, losses], [wins, both]])


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (9, 2), (2, 9), (5, 5), (300, 250)])
def test_mcnemar_is_the_exact_binomial_test(wins, losses):
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1
    assert mcnemar(wins, losses=losses) == pytest.approx(expected)


def test_a_difference_worked_by_hand():
    # Agresti and Min: (9 - 2) / 102; sqrt((9 + 2 + 1) - 7² / 102) / 102.
    found = compare_accuracies(pairs(80, 9, 2, 9), confidence=0.95)
    assert found.estimate == pytest.approx(0.07)
    spread = math.sqrt(12 - 49 / 102) / 102
    assert found.low == pytest.approx(7 / 102 - 1.959964 * spread, abs=1e-6)
    assert found.high == pytest.approx(7 / 102 + 1.959964 * spread, abs=1e-6)
    assert found.p_value == pytest.approx(stats.binomtest(2, 11).pvalue)
    assert found.p_better() == found.p_value
    assert found.p_worse() == 1


def test_the_interval_is_close_to_the_bootstrap():
    found = compare_accuracies(pairs(700, 80, 40, 180), confidence=0.95)
    differences = np.repeat([0.0, 1.0, -1.0, 0.0], [700, 80, 40, 180])
    bootstrap = stats.bootstrap(
        (differences,), np.mean, n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((bootstrap.low, bootstrap.high), abs=0.002)


@pytest.mark.parametrize("probabilities", [(0.85, 0.05, 0.04, 0.06), (0.9, 0.04, 0.01, 0.05)])
@pytest.mark.parametrize("examples", [360, 2400])
def test_the_95_percent_interval_covers_a_known_difference_95_percent_of_the_time(probabilities, examples):
    random = np.random.default_rng(1)
    tables = random.multinomial(examples, probabilities, size=SIMULATIONS)
    low, high = paired_interval(tables[:, 1], losses=tables[:, 2], examples=examples, confidence=0.95)
    known = probabilities[1] - probabilities[2]
    assert 0.93 <= np.mean((low <= known) & (known <= high)) <= 0.97


def test_the_p_value_of_equal_models_is_rarely_small():
    tables = np.random.default_rng(2).multinomial(400, (0.8, 0.08, 0.08, 0.04), size=50_000)
    pairs, counts = np.unique(tables[:, 1:3], axis=0, return_counts=True)
    is_small = [mcnemar(int(wins), losses=int(losses)) < 0.05 for wins, losses in pairs]
    assert np.average(is_small, weights=counts) <= 0.05


def test_two_copies_of_one_model_do_not_differ():
    found = compare_accuracies(pairs(2, 0, 0, 1), confidence=0.95)
    assert found.estimate == 0
    assert found.low < 0 < found.high
    assert found.p_value == found.p_better() == found.p_worse() == 1


def compare(candidate, baseline, *, confidence=0.95):
    """Compares two losses, of which some examples come at a time."""
    differences = np.subtract(candidate, baseline)
    return compare_means(lambda: np.array_split(differences, 3), confidence=confidence)


def test_the_order_of_the_examples_does_not_matter():
    differences = np.random.default_rng(7).normal(1e-3, 1, 10_000)
    found = [
        compare_means(lambda order=order: [differences[order]], confidence=0.95)
        for order in (slice(None), slice(None, None, -1), np.argsort(differences))
    ]
    assert found[0] == found[1] == found[2]


def test_means_are_compared_by_the_paired_t_test():
    random = np.random.default_rng(3)
    candidate, baseline = random.gamma(1, 1, 50), random.gamma(1, 1.3, 50)
    found = compare(candidate, baseline, confidence=0.9)
    expected = stats.ttest_rel(candidate, baseline)
    interval = expected.confidence_interval(0.9)
    assert found.estimate == pytest.approx((candidate - baseline).mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.p_better(higher_is_better=False) == found.p_value


def test_means_of_one_example_or_of_nan_have_no_interval():
    one = compare([1.0], [3.0])
    assert one.estimate == -2
    assert math.isnan(one.low)
    assert math.isnan(one.p_value)
    broken = compare([1.0, np.nan], [3.0, 1.0])
    assert math.isnan(broken.estimate)
    assert math.isnan(broken.p_worse())
    same = compare([1.0, 2.0], [1.0, 2.0])
    assert (same.estimate, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    shifted = compare([1.0, 2.0], [2.0, 3.0])
    assert (shifted.estimate, shifted.low, shifted.high, shifted.p_value) == (-1, -1, -1, 0)


def models(random, *, examples, simulations=1):
    """Simulates teacher, distilled and scratch of accuracies 0.9, 0.8 and 0.7, which tend to agree."""
    luck = random.random((simulations, examples))
    noise = random.random((3, simulations, examples)) < 0.9
    own = random.random((3, simulations, examples))
    shares = np.array([0.9, 0.8, 0.7])[:, np.newaxis, np.newaxis]
    return np.where(noise, luck, own) < shares


def test_the_interval_of_the_gap_closed_covers_a_known_ratio_95_percent_of_the_time():
    teacher, distilled, scratch = models(np.random.default_rng(4), examples=800, simulations=SIMULATIONS)
    gain, gap = distilled.astype(float) - scratch, teacher.astype(float) - scratch
    low, high = fieller_interval(
        gain.mean(axis=1),
        denominator=gap.mean(axis=1),
        variance=gain.var(axis=1) / 800,
        denominator_variance=gap.var(axis=1) / 800,
        covariance=((gain * gap).mean(axis=1) - gain.mean(axis=1) * gap.mean(axis=1)) / 800,
        confidence=0.95,
    )
    assert np.isfinite(low).all()
    assert 0.93 <= np.mean((low <= 0.5) & (high >= 0.5)) <= 0.97


def test_the_gap_closed_of_counted_examples_is_that_of_each_of_them():
    kinds = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    counts = np.array([40, 300, 30, 20, 5])
    each = np.repeat(kinds, counts, axis=0)
    counted = gap_closed(
        kinds[:, 0], scratch=kinds[:, 1], teacher=kinds[:, 2], counts=counts, confidence=0.95
    )
    one_by_one = gap_closed(each[:, 0], scratch=each[:, 1], teacher=each[:, 2], confidence=0.95)
    assert counted.estimate == pytest.approx((40 - 5) / (40 + 30 - 5))
    assert (counted.low, counted.high) == pytest.approx((one_by_one.low, one_by_one.high))


def test_the_gap_closed_is_close_to_the_bootstrap():
    ((teacher,), (distilled,), (scratch,)) = models(np.random.default_rng(5), examples=4000)
    found = gap_closed(distilled, scratch=scratch, teacher=teacher, confidence=0.95)
    assert found.estimate == pytest.approx(
        (distilled.mean() - scratch.mean()) / (teacher.mean() - scratch.mean())
    )
    rows = np.random.default_rng(6).integers(0, 4000, (2000, 4000))
    ratios = (distilled[rows].mean(axis=1) - scratch[rows].mean(axis=1)) / (
        teacher[rows].mean(axis=1) - scratch[rows].mean(axis=1)
    )
    assert (found.low, found.high) == pytest.approx(np.percentile(ratios, [2.5, 97.5]), abs=0.02)


@pytest.mark.parametrize(
    ("teacher", "scratch", "reason"),
    [
        ([0, 0, 1], [1, 1, 1], "the teacher is worse than"),
        ([1, 0, 1], [0, 1, 1], "the teacher is no better than"),
        ([1, 1, 1], [0, 1, 1], "the teacher is not significantly better than"),
        ([1], [0], "the teacher is not significantly better than"),
    ],
)
def test_the_gap_closed_is_undefined_unless_the_teacher_is_clearly_better(teacher, scratch, reason):
    teacher, scratch = np.array(teacher, bool), np.array(scratch, bool)
    found = gap_closed(np.ones_like(scratch), scratch=scratch, teacher=teacher, confidence=0.95)
    assert (found.estimate, found.low, found.high) == (None, None, None)
    assert found.reason.startswith(reason)
