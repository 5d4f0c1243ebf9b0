import math

import pytest

from components.evaluator.verdict import best_epoch, choose_candidate, decide


def history(*epochs, best):
    return {
        "best_epoch": best,
        "epochs": [
            {"epoch": number, "val_accuracy": accuracy, "val_loss": loss}
            for number, (accuracy, loss) in enumerate(epochs, start=1)
        ],
    }


def test_best_epoch_is_the_one_whose_weights_were_kept():
    assert best_epoch(history((0.5, 1.0), (0.9, 0.2), (0.8, 0.1), best=2))["val_accuracy"] == 0.9


@pytest.mark.parametrize(
    ("histories", "expected"),
    [
        pytest.param(
            {"a": history((0.8, 0.1), best=1), "b": history((0.9, 0.9), best=1)}, "b", id="higher accuracy"
        ),
        pytest.param(
            {"a": history((0.8, 0.1), (0.99, 0.1), best=1), "b": history((0.9, 0.9), best=1)},
            "b",
            id="at the best epoch, not at another",
        ),
        pytest.param(
            {"a": history((0.9, 0.4), best=1), "b": history((0.9, 0.3), best=1)}, "b", id="tie: lower loss"
        ),
        pytest.param(
            {"z": history((0.9, 0.3), best=1), "a": history((0.9, 0.3), best=1)}, "z", id="tie: first named"
        ),
        pytest.param(
            {"a": history((0.9, math.nan), best=1), "b": history((0.9, 7.0), best=1)}, "b", id="tie: NaN loss"
        ),
    ],
)
def test_the_candidate_is_the_best_on_validation(histories, expected):
    assert choose_candidate(histories) == expected


def judge(accuracy, **changes):
    arguments = {
        "candidate": "distilled",
        "accuracies": {"teacher": 0.983, "scratch": 0.947, "distilled": accuracy},
        "cross_entropy": 0.25,
        "test_examples": 360,
        "min_accuracy": 0.8,
    }
    return decide(**(arguments | changes))


def words(verdict):
    return verdict.sentence.replace("\N{NO-BREAK SPACE}", " ")


def test_a_good_student_is_blessed_and_the_sentence_carries_the_numbers():
    verdict = judge(0.961)
    assert verdict.blessed
    assert words(verdict) == (
        "The student 'distilled' is blessed: accuracy 96.1 % on 360 test images, at least 80.0 % was asked; "
        "scratch reaches 94.7 %, the teacher 98.3 %."
    )


def test_the_bound_itself_is_enough():
    assert judge(0.8).blessed


def test_a_poor_student_is_not_blessed_and_the_gate_says_why():
    verdict = judge(0.75)
    assert not verdict.blessed
    assert words(verdict) == (
        "The student 'distilled' is not blessed: accuracy 75.0 % on 360 test images, but at least 80.0 % was "
        "asked; scratch reaches 94.7 %, the teacher 98.3 %."
    )
    assert [(gate.name, gate.bound, gate.measured, gate.held) for gate in verdict.gates] == [
        ("accuracy", 0.8, 0.75, False),
        ("finite cross-entropy", None, 0.25, True),
    ]


def test_a_student_that_misses_by_little_does_not_seem_to_reach_the_bound():
    assert "accuracy 79.98 % on 10,000 test images, but at least 80.00 %" in words(
        judge(0.7998, test_examples=10_000)
    )


@pytest.mark.parametrize("cross_entropy", [math.nan, math.inf])
def test_a_student_without_finite_outputs_is_never_blessed(cross_entropy):
    verdict = judge(0.99, cross_entropy=cross_entropy)
    assert not verdict.blessed
    assert verdict.gates[1].measured is None
    assert "but some of its outputs are not finite numbers" in verdict.sentence


def test_a_bound_of_zero_goes_unmentioned():
    verdict = judge(0.5, min_accuracy=0.0, test_examples=1)
    assert verdict.blessed
    assert words(verdict) == (
        "The student 'distilled' is blessed: accuracy 50.0 % on 1 test image; scratch reaches 94.7 %, "
        "the teacher 98.3 %."
    )
