import numpy as np
import pytest
import tensorflow as tf

from components.training.inputs.stored_logits import leaves_out, pack, unpack


def stored_and_read(logits: np.ndarray, *, top_k: int | None) -> np.ndarray:
    packed = pack(logits.astype(np.float32), top_k=top_k)
    strings = tf.constant([row.tobytes() for row in packed])
    return unpack(strings, num_classes=logits.shape[-1]).numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_the_least_likely_share_their_probability_evenly() -> None:
    # Probabilities 1/2, 1/4, 1/8, 3/32 and, of the others, 1/32 in all.
    probabilities = np.array([1 / 64, 1 / 2, 1 / 128, 1 / 8, 1 / 256, 1 / 4, 1 / 256, 3 / 32])

    read = stored_and_read(np.log(probabilities)[None], top_k=3)

    expected = [1 / 40, 1 / 2, 1 / 40, 1 / 8, 1 / 40, 1 / 4, 1 / 40, 1 / 40]
    np.testing.assert_allclose(softmax(read)[0], expected, rtol=2**-9)


@pytest.mark.parametrize("num_classes", [100, 1_000, 65_536, 65_537])
def test_the_most_likely_keep_logits_and_probabilities(num_classes: int) -> None:
    logits = np.random.default_rng(num_classes).normal(0, 3, (7, num_classes))

    read = stored_and_read(logits, top_k=20)

    for exact, found in zip(logits, read, strict=True):
        likely = np.argsort(exact)[-20:]
        np.testing.assert_allclose(found[likely], exact[likely], rtol=2**-11)
        np.testing.assert_allclose(softmax(found)[likely], softmax(exact)[likely], rtol=0.01)
        others = np.delete(found, likely)
        assert np.ptp(others) == 0
        assert others[0] <= exact[likely].min()


def test_of_equal_logits_those_of_the_first_classes_are_kept() -> None:
    logits = np.zeros((1, 100))
    logits[0, 50] = -9

    packed = pack(logits.astype(np.float32), top_k=2)

    # Three halves, then two numbers of classes.
    np.testing.assert_array_equal(packed[0, 6:].view("<u2"), [0, 1])


def test_all_are_stored_where_that_takes_no_more() -> None:
    """Each of the most likely takes four bytes, all others together two, and each of all classes two."""
    assert [leaves_out(top_k, num_classes=10) for top_k in (4, 5, None)] == [True, False, False]
    logits = np.arange(10.0)[None]

    np.testing.assert_array_equal(stored_and_read(logits, top_k=5), logits)
    assert pack(logits.astype(np.float32), top_k=5).shape == (1, 20)
    assert pack(logits.astype(np.float32), top_k=4).shape == (1, 18)


def test_each_view_is_stored_by_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3, 40)).astype(np.float32)

    packed = pack(logits, top_k=4)

    for view in range(3):
        np.testing.assert_array_equal(packed[:, view], pack(logits[:, view], top_k=4))


@pytest.mark.parametrize("top_k", [None, 3])
def test_logits_that_are_no_numbers_stay_so(top_k: int | None) -> None:
    logits = np.zeros((2, 30))
    logits[0, 4], logits[1, 5] = np.nan, np.inf

    read = stored_and_read(logits, top_k=top_k)

    assert np.isnan(read[0]).any()
    assert np.isinf(read[1]).any()
