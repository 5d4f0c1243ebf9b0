import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.evaluator.measure import tally
from components.evaluator.measure.tally import Examples, Tally

IMAGES, CLASSES = 6_000, 4


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, CLASSES, IMAGES)


@pytest.fixture(scope="module")
def logits(labels: np.ndarray) -> np.ndarray:
    """Those of two models, of which the second is the better one."""
    noise = np.random.default_rng(1).normal(0, 2, (2, IMAGES, CLASSES))
    return noise + np.array([1, 3])[:, None, None] * np.eye(CLASSES)[labels]


def tallied(labels: np.ndarray, logits: np.ndarray, *, parts: int) -> Tally:
    """Tallies the examples in several parts, of which each takes every so many."""
    tallies = []
    for part in range(parts):
        tallies.append(Tally(teacher=1))
        for start in range(part * 64, len(labels), parts * 64):
            part_of_them = Examples(labels[start : start + 64], logits[:, start : start + 64], False)
            tallies[-1].add(part_of_them)
    whole, *others = tallies[::-1]
    for each in others:
        whole.merge(each)
    return whole


def areas(whole: Tally) -> np.ndarray:
    return np.array([counts.areas for counts in whole.counts()])


def test_many_scores_are_told_apart_less_finely(
    labels: np.ndarray, logits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [[roc_auc_score(labels == c, each[:, c] - np.log(np.exp(np.delete(each, c, 1)).sum(1)))
                 for c in range(CLASSES)] for each in logits]  # fmt: skip
    fine = tallied(labels, logits, parts=1)
    np.testing.assert_allclose(areas(fine), expected, atol=1e-5)

    monkeypatch.setattr(tally, "_MOST_SCORES", 2_000)
    coarse = tallied(labels, logits, parts=1)

    np.testing.assert_allclose(areas(coarse), expected, atol=1e-3)
    assert (areas(coarse) != areas(fine)).any()
    assert len(pickle.dumps(coarse)) < 100_000 < len(pickle.dumps(fine))


def test_in_whatever_parts_the_examples_come_the_areas_are_the_same(
    labels: np.ndarray, logits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_MOST_SCORES", 2_000)
    whole = areas(tallied(labels, logits, parts=1))

    for parts in (2, 3, 17):
        np.testing.assert_array_equal(areas(tallied(labels, logits, parts=parts)), whole)


def test_examples_of_one_label_take_little_memory_though_there_are_many_classes() -> None:
    classes, random = 1_000, np.random.default_rng(0)
    logits = random.normal(size=(3, 500, classes)).astype(np.float32)
    labels = np.full(500, 7)
    one_label, others = Tally(teacher=0), Tally(teacher=0)
    for start in range(0, 500, 5):
        rows = slice(start, start + 5)
        one_label.add(Examples(labels[rows], logits[:, rows], True))
        others.add(Examples(labels[rows], logits[:, rows], False))

    assert len(pickle.dumps(one_label)) < logits.nbytes / 10 < len(pickle.dumps(others))
    for counts, expected in zip(one_label.counts(), others.counts(), strict=True):
        assert counts.right == expected.right
        assert counts.cross_entropy == pytest.approx(expected.cross_entropy)
        np.testing.assert_array_equal(counts.confusion, expected.confusion)
        # Of one label there are no pairs of examples and counter-examples.
        np.testing.assert_array_equal(counts.areas, np.full(classes, np.nan))
        np.testing.assert_array_equal(expected.areas, np.full(classes, np.nan))
