import numpy as np
import pytest

from benchmarks.examples import Examples
from benchmarks.quality import FOLDS, Run, divide, summarise


def examples(names: list[str]) -> Examples:
    ids = np.array(names, dtype=object)
    return Examples(np.array([b"\0"] * len(ids), dtype=object), np.zeros(len(ids), np.int64), ids)


def test_folds_take_turns_at_being_the_test_split_and_share_no_image() -> None:
    names = [f"image/{number}" for number in range(103)]
    splits = {
        "train": examples(names[:80]),
        "validation": examples(names[80:90]),
        "test": examples(names[90:]),
    }

    divisions = [divide(splits, fold=fold) for fold in range(FOLDS)]

    tested = [name for division in divisions for name in division["test"].ids]
    assert sorted(tested) == sorted(names)
    for division in divisions:
        assert sorted(name for part in division.values() for name in part.ids) == sorted(names)
        assert len(division["validation"]) == pytest.approx(len(names) / FOLDS / 2, abs=1)


def test_a_method_is_represented_by_its_best_variant_on_validation() -> None:
    def run(method: str, variant: int, seed: int, validation: float, correct: str) -> Run:
        outcomes = {f"image/{number}": mark == "+" for number, mark in enumerate(correct)}
        return Run(method, variant, seed, validation, outcomes)

    results = summarise(
        [
            run("teacher", 0, 0, 0.9, "+++++++-"),
            run("teacher", 0, 1, 0.9, "++++++++"),
            run("scratch", 0, 0, 0.5, "++++----"),
            run("scratch", 0, 1, 0.5, "+++++---"),
            run("kd", 0, 0, 0.6, "++++++++"),  # The best on the test images, which choose nothing.
            run("kd", 0, 1, 0.6, "++++++++"),
            run("kd", 1, 0, 0.8, "+++++---"),
            run("kd", 1, 1, 0.7, "++++++--"),
        ]
    )

    teacher, scratch, kd = results["models"]
    assert (results["test_images"], results["seeds"]) == (8, 2)
    assert kd["accuracies"] == [5 / 8, 6 / 8]
    assert scratch["accuracy"] == pytest.approx((4 / 8 + 5 / 8) / 2)
    assert teacher["accuracy"] == pytest.approx((7 / 8 + 8 / 8) / 2)
    # Student's t for one degree of freedom at 97.5 % is 12.706; the standard error 1/16.
    assert kd["half_width"] == pytest.approx(12.706 / 16, rel=1e-4)
    assert kd["lead"]["estimate"] == pytest.approx(1 / 8)
    assert kd["gap_closed"]["estimate"] == pytest.approx((1 / 8) / (3 / 8))
