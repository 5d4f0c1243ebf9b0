import json

import numpy as np
import pyarrow as pa
import pytest

from components.data_checks.descriptors import SCHEMA
from components.data_checks.profile import make_profile, make_teacher_profile, read_profile


def table(labels, *, heights, brightness):
    count = len(labels)
    columns = {name: [None] * count for name in SCHEMA.names}
    columns |= {"label": labels, "height": heights, "width": [64] * count, "brightness": brightness}
    return pa.table(columns | {"contrast": [10.0] * count}, schema=SCHEMA)


def test_counts_classes_and_bins():
    descriptors = table([0, 2, 2, -1], heights=[63, 64, 75, 50_000], brightness=[0.0, 7.9, 8.0, 255.0])
    profile = make_profile([descriptors], class_names=["ant", "bee", "cat"])
    assert profile.images == 4
    assert profile.categories == {"label": {"ant": 1, "bee": 0, "cat": 2}}
    heights = profile.numbers["height"].counts
    # The bins are quarters of an octave: 64 opens the 25th, which ends at 76.1; the last takes what is more.
    assert {number: count for number, count in enumerate(heights) if count} == {23: 1, 24: 2, 55: 1}
    brightness = profile.numbers["brightness"].counts
    assert {number: count for number, count in enumerate(brightness) if count} == {0: 2, 1: 1, 31: 1}
    assert profile.numbers["brightness"].mean == pytest.approx((7.9 + 8 + 255) / 4)


def test_images_in_several_tables_are_summed_up_together():
    shards = [
        table([0, 2], heights=[63, 64], brightness=[0.0, 8.5]),
        table([-1], heights=[64], brightness=[200.0]),
        table([], heights=[], brightness=[]),
    ]
    profile = make_profile(shards, class_names=["ant", "bee", "cat"])
    assert profile.images == 3
    assert profile.categories == {"label": {"ant": 1, "bee": 0, "cat": 1}}
    assert {number: count for number, count in enumerate(profile.numbers["height"].counts) if count} == {
        23: 1,
        24: 2,
    }
    assert profile.numbers["brightness"].mean == pytest.approx((0 + 8.5 + 200) / 3)


def test_without_labels_there_is_no_distribution_of_classes():
    profile = make_profile(
        [table([-1, -1], heights=[8, 8], brightness=[1.0, 2.0])], class_names=["ant", "bee"]
    )
    assert profile.categories == {}
    assert profile.numbers["height"].mean == 8


def test_sums_up_what_a_teacher_says():
    # A confidence of 3/4 twice and of 1/2, for the classes bee, bee and ant.
    logits = np.log([[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]]) + 5
    profile = make_teacher_profile(logits, class_names=["ant", "bee"])
    assert profile.categories == {"teacher class": {"ant": 1, "bee": 2}}
    confidence = profile.numbers["teacher confidence"]
    assert confidence.mean == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert sum(confidence.counts) == sum(profile.numbers["teacher logit"].counts) == 3
    assert profile.numbers["teacher logit"].mean == pytest.approx(5 + (2 * np.log(0.75) + np.log(0.5)) / 3)


def test_is_read_back_and_what_cannot_be_read_is_none(tmp_path):
    profile = make_profile([table([0], heights=[8], brightness=[1.0])], class_names=["ant"])
    path = tmp_path / "profile.json"
    assert read_profile(path) is None
    path.write_text(profile.model_dump_json())
    assert read_profile(path) == profile
    path.write_text(json.dumps(profile.model_dump(mode="json") | {"version": 2}))
    assert read_profile(path) is None
    path.write_text(profile.model_dump_json()[:50])
    assert read_profile(path) is None
