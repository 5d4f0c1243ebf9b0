import math

import pytest

from components.evaluator.judge.gates import at_least, at_most, finite
from components.evaluator.judge.verdict import (
    Rival,
    choose_candidate,
    is_blessed,
    put_into_words,
)
from components.report.summary import Epoch, History


def history(*epochs, best):
    return History(
        best_epoch=best,
        epochs=tuple(
            Epoch(epoch=number, seconds=1.0, loss=1.0, accuracy=0.5, val_accuracy=accuracy, val_loss=loss)
            for number, (accuracy, loss) in enumerate(epochs, start=1)
        ),
    )


def test_best_epoch_is_the_one_whose_weights_were_kept():
    assert history((0.5, 1.0), (0.9, 0.2), (0.8, 0.1), best=2).best.val_accuracy == 0.9


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
            {"a": history((0.9, None), best=1), "b": history((0.9, 7.0), best=1)},
            "b",
            id="tie: no loss",
        ),
    ],
)
def test_the_candidate_is_the_best_on_validation(histories, expected):
    assert choose_candidate(histories) == expected


RIVALS = (
    Rival(name="scratch", accuracy=0.947, difference=0.014, low=0.002, high=0.026),
    Rival(name="the teacher", accuracy=0.983, difference=-0.022, low=-0.035, high=-0.009),
)
SCRATCH_IN_WORDS = "scratch 94.7 % [+1.40 points, +0.20 to +2.60]"
TEACHER_IN_WORDS = "the teacher 98.3 % [−2.20 points, −3.50 to −0.90]"  # noqa: RUF001
NOTE = "(in brackets its lead and the 95 % interval)"


def put(*gates, rivals=RIVALS, test_examples=360, **choice):
    sentence = put_into_words(
        "kd",
        accuracy=0.961,
        test_examples=test_examples,
        confidence=0.95,
        rivals=rivals,
        gates=gates,
        **choice,
    )
    return sentence.replace("\N{NO-BREAK SPACE}", " ")


def accuracy(bound, **about):
    return at_least(bound, 0.961, name="accuracy", model="kd", unit="share", **about)


def test_a_blessed_student_in_one_sentence_with_the_numbers_that_carry_it():
    assert put(accuracy(0.9)) == (
        f"The student 'kd' is blessed; accuracy 96.1 % on 360 test images; {SCRATCH_IN_WORDS}; "
        f"{TEACHER_IN_WORDS} {NOTE}."
    )


def test_every_gate_that_does_not_hold_says_why():
    sentence = put(
        accuracy(0.97),
        accuracy(0.9),
        accuracy(0.99, slice_name="class=bee"),
        finite(math.nan, name="finite cross-entropy", model="kd", unit="nats"),
        test_examples=10_000,
    )
    assert sentence.startswith(
        "The student 'kd' is not blessed: accuracy is 96.10 %, but at least 97.00 % was asked, and accuracy "
        "on class=bee is 96.10 %, but at least 99.00 % was asked, and some of its outputs are not finite "
        "numbers; accuracy 96.1 % on 10,000 test images; "
    )


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (at_least(0.05, 0.01, name="p", model="kd", unit="probability", baseline="scratch", detail="so"),
         "it is significantly worse than scratch (so)"),
        (at_most(0.05, 0.2, name="p", model="kd", unit="probability", baseline="scratch", slice_name="a=b"),
         "it is not significantly better than scratch on a=b"),
        (at_most(1000, 2000, name="size", model="kd", unit="bytes"),
         "size is 2.00 kB, but at most 1.00 kB was asked"),
        (at_least(0.5, None, name="gap closed", model="kd", unit="ratio", detail="no gap"),
         "gap closed is undefined, but at least 0.50 was asked (no gap)"),
    ],
)  # fmt: skip
def test_reasons_in_words(gate, words):
    assert put(gate).startswith(f"The student 'kd' is not blessed: {words}; ")


def test_a_remark_stands_beside_the_rival():
    rival = Rival(
        name="the teacher", accuracy=0.9, difference=0.061, low=0.05, high=0.07, remark="worse than scratch"
    )
    assert "the teacher 90.0 %, worse than scratch [+6.10 points" in put(rivals=[rival])


def test_the_number_of_variants_stands_in_the_verdict():
    chosen = {"temperature": 2.5, "standardise_logits": True, "warmup_epochs": 20}
    settings = "temperature 2.5, standardise_logits true, warmup_epochs 20"
    among = "the best of 9 variants on the validation split"
    assert put(chosen=chosen, variants_tried=9).startswith(
        f"The student 'kd' ({settings}: {among}) is blessed;"
    )
    assert put(variants_tried=9).startswith(f"The student 'kd' ({among}) is blessed;")
    assert put(variants_tried=9, variants_diverged=2).startswith(f"The student 'kd' ({among}; 2 diverged) is")
    assert put(chosen={"temperature": 2.5}, variants_tried=1).startswith("The student 'kd' is blessed;")


def test_one_image_is_one():
    assert "on 1 test image;" in put(test_examples=1)


@pytest.mark.parametrize(
    ("gate", "held"),
    [
        (at_least(0.5, 0.5, name="x", model="kd", unit="share"), True),
        (at_least(0.5, 0.4999, name="x", model="kd", unit="share"), False),
        (at_most(0.5, 0.5, name="x", model="kd", unit="share"), True),
        (at_most(0.5, 0.5001, name="x", model="kd", unit="share"), False),
        (at_most(0.5, math.nan, name="x", model="kd", unit="share"), False),
        (at_least(0.5, None, name="x", model="kd", unit="share"), False),
        (finite(1.0, name="x", model="kd", unit="nats"), True),
        (finite(math.inf, name="x", model="kd", unit="nats"), False),
    ],
)  # fmt: skip
def test_the_bound_itself_is_enough_and_what_is_no_number_is_not(gate, held):
    assert gate.held is held
    assert is_blessed([gate]) is held
    assert gate.measured is None or math.isfinite(gate.measured)
