import numpy as np
import pytest

from benchmarks.examples import Examples
from benchmarks.quality import FOLDS, divide


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
