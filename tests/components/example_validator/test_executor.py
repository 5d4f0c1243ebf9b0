import dataclasses
import json
import logging
import math
import pathlib
import re
import shutil
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components.data_checks.descriptors import Descriptor, encode
from components.errors import DriftError, InputError
from components.example_validator.anomalies import describe
from components.example_validator.executor import Executor

NOTE = "notes: "
CLASSES = ["ant", "bee", "cat"]


@pytest.fixture
def validate(make_data, make_schema, tmp_path: pathlib.Path):
    """Ingests labels, infers the schema, and runs ExampleValidator's executor."""

    def run(
        labels: dict[str, list[int]],
        *,
        classes: list[str] = CLASSES,
        class_weights: Any = None,
        weight: float | None = None,
        images: dict[str, list[Descriptor]] | None = None,
        **checks: Any,
    ) -> Any:
        for earlier in ("examples", "statistics", "schema", "anomalies"):
            shutil.rmtree(tmp_path / earlier, ignore_errors=True)
        data = make_data(labels, class_names=classes, weight=weight)
        for split, described in (images or {}).items():
            file = pathlib.Path(data.examples.uri, f"descriptors/{split}-00000-of-00001.parquet")
            file.write_bytes(encode(described))
        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        inputs = {
            "statistics": [data.statistics],
            "schema": [make_schema(data)],
            "examples": [data.examples],
        }
        settings = {"drift": {}, "duplicates": "warn", "significance_level": 0.05} | checks
        properties = {
            "exclude_splits": json.dumps([split for split in labels if split == "unlabelled"]),
            "class_weights": json.dumps(class_weights),
            "checks": json.dumps(settings),
            "versions_directory": str(tmp_path / "pushed"),
            "incumbent": "",
        }
        Executor().Do(inputs, {"anomalies": [anomalies]}, properties)
        return anomalies

    return run


def test_lets_sound_data_pass(validate) -> None:
    # The other splits have other sizes and fewer classes than the training split, which is no fault.
    anomalies = validate({"train": [0, 1, 2], "validation": [2], "test": [0, 0, 1, 1, 1]})
    assert anomalies.split_names == '["train", "validation", "test"]'
    assert anomalies.get_json_value_custom_property("blessed") == {"train": 1, "validation": 1, "test": 1}


def test_lets_unlabelled_data_pass(validate) -> None:
    anomalies = validate({"train": [-1, -1, -1], "validation": [-1], "test": [0, 1, 2]})
    assert anomalies.get_json_value_custom_property("blessed") == {"train": 1, "validation": 1, "test": 1}


def test_stops_where_only_some_training_examples_lack_a_label(validate) -> None:
    with pytest.raises(InputError, match="Unexpectedly small value: -1"):
        validate({"train": [-1, 0, 1], "validation": [0], "test": [0, 1, 2]})


@pytest.mark.parametrize(
    ("split", "label", "words"),
    [
        ("train", 3, "Unexpectedly large value: 3"),
        ("validation", -1, "Unexpectedly small value: -1"),
        ("test", 7, "Unexpectedly large value: 7"),
    ],
)
def test_stops_at_a_label_outside_the_classes(validate, caplog, split: str, label: int, words: str) -> None:
    labels = {"train": [0, 1, 2], "validation": [0, 1], "test": [0, 1]}
    labels[split] = [*labels[split], label]
    expected = f"split '{split}', feature 'label': Out-of-range values: {words}"
    with pytest.raises(InputError) as caught:
        validate(labels)
    assert str(caught.value) == (
        f"The data does not match its schema: {expected}; correct the data and run again."
    )
    assert expected in caplog.text


SOUND = {"train": [0, 1, 2], "validation": [2], "test": [0, 1]}


@pytest.mark.parametrize("class_weights", ["balanced", {"bee": 2.0}])
def test_lets_weights_of_classes_pass(validate, class_weights: Any) -> None:
    validate(SOUND, class_weights=class_weights)


def test_stops_at_a_weight_of_no_class(validate) -> None:
    with pytest.raises(InputError, match=r"names 'cow', which is no class of the data; .* ant, bee, cat\.$"):
        validate(SOUND, class_weights={"bee": 2.0, "cow": 1.0})


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf])
def test_stops_at_a_sample_weight_that_is_none(validate, weight: float) -> None:
    with pytest.raises(InputError, match="feature 'weight'"):
        validate(SOUND, weight=weight)


def test_finds_one_wrong_label_among_many_classes(validate) -> None:
    classes = [str(index) for index in range(1500)]
    frequent = [index for index in range(1500) for _ in range(2)]
    with pytest.raises(InputError, match="Unexpectedly large value: 1500"):
        validate({"train": frequent, "validation": [0], "test": [*frequent, 1500]}, classes=classes)


def test_describes_anomalies_of_features_and_of_the_whole() -> None:
    found = anomalies_pb2.Anomalies()
    found.dataset_anomaly_info.short_description = "Low num examples"
    found.dataset_anomaly_info.description = "0 examples."
    found.anomaly_info["width"].short_description = "Column dropped"
    found.anomaly_info["width"].description = "Column is completely missing"
    assert describe({"train": anomalies_pb2.Anomalies(), "test": found}) == [
        "split 'test': Low num examples: 0 examples",
        "split 'test', feature 'width': Column dropped: Column is completely missing",
    ]


def images(split: str, *, count: int = 300, brightness: float = 100) -> list[Descriptor]:
    """Describes images of as many ants as bees, all of one size, whose brightness is within 10 of a mean."""
    return [
        Descriptor(
            id=f"{split}/{index}",
            label=index % 2,
            sha256=f"{split} {index}".encode().ljust(32),
            height=8,
            width=8,
            brightness=brightness + index % 21 - 10,
            contrast=20,
        )
        for index in range(count)
    ]


@pytest.fixture
def ship(tmp_path: pathlib.Path):
    """Lets a student ship, with the profile that a run has written, or without one."""

    def run(anomalies: Any = None) -> None:
        version = tmp_path / "pushed" / "17"
        (version / "assets.extra").mkdir(parents=True)
        (version / "saved_model.pb").touch()
        if anomalies:
            shutil.copy(pathlib.Path(anomalies.uri, "profile.json"), version / "assets.extra")

    return run


@pytest.fixture
def notes(caplog):
    """What the user is told."""
    caplog.set_level(logging.INFO)
    return lambda: [record.told.removeprefix(NOTE) for record in caplog.records if hasattr(record, "told")]


def read_check(anomalies: Any) -> Any:
    return json.loads(pathlib.Path(anomalies.uri, "data_check.json").read_text())


def test_the_first_run_has_a_profile_and_nothing_to_compare_it_with(validate, notes) -> None:
    anomalies = validate(SOUND, images={"train": images("train")})
    profile = json.loads(pathlib.Path(anomalies.uri, "profile.json").read_text())
    assert profile["images"] == 300
    assert profile["categories"] == {"label": {"ant": 150, "bee": 150, "cat": 0}}
    assert profile["numbers"]["brightness"]["mean"] == pytest.approx(100, abs=0.2)
    check = read_check(anomalies)
    assert check["drift"] is None
    assert [(each["split"], each["exact"], each["near"]) for each in check["duplicates"]] == [
        ("validation", 0, 0),
        ("test", 0, 0),
    ]
    assert notes() == []


def test_data_are_known_by_their_images_and_labels_whatever_their_names_and_order(validate) -> None:
    def identity(train: list[Descriptor]) -> str:
        anomalies = validate(SOUND, images={"train": train})
        found = json.loads(pathlib.Path(anomalies.uri, "data_identity.json").read_text())
        assert found["spans"] == []
        return found["fingerprint"]

    one = images("train", count=3)
    turned = [dataclasses.replace(each, id=f"new/{each.id}") for each in reversed(one)]
    assert identity(turned) == identity(one)
    assert identity([*one[:2], dataclasses.replace(one[2], label=1)]) != identity(one)
    assert identity([*one[:2], dataclasses.replace(one[2], sha256=b"other".ljust(32))]) != identity(one)
    assert identity(one[:2]) != identity(one)


def test_images_like_those_of_the_student_that_ships_have_not_drifted(validate, ship, notes) -> None:
    ship(validate(SOUND, images={"train": images("train")}))
    check = read_check(validate(SOUND, images={"train": images("other", count=200)}, drift={"stop": 0.1}))
    assert (check["drift"]["version"], check["drift"]["images_before"]) == ("17", 300)
    assert {each["status"] for each in check["drift"]["features"]} == {"none"}
    assert notes() == []


def test_a_drift_is_told_or_stops_the_run(validate, ship, notes) -> None:
    ship(validate(SOUND, images={"train": images("train")}))
    darker = {"train": images("other", brightness=50)}
    words = (
        "brightness, Jensen-Shannon distance 1.00, p < 0.001 "
        r"\(mean (100|99)\.\d+ before, (50|49)\.\d+ now\)"
    )

    check = read_check(validate(SOUND, images=darker))
    assert {each["feature"]: each["status"] for each in check["drift"]["features"]} == {
        "label": "none",
        "height": "none",
        "width": "none",
        "brightness": "warn",
        "contrast": "none",
    }
    (note,) = notes()
    assert re.fullmatch(f"the training images have drifted from .* version 17, was trained on: {words}", note)

    with pytest.raises(DriftError, match=rf"than drift\.stop allows \(0\.3\): {words}; check the data, or"):
        validate(SOUND, images=darker, drift={"stop": 0.3})
    read_check(validate(SOUND, images=darker, drift={"warn": None}))
    assert len(notes()) == 1


def test_images_without_labels_are_trained_on_too(validate, ship) -> None:
    ship(validate(SOUND, images={"train": images("train")}))
    labels = {**SOUND, "unlabelled": [-1, -1]}
    beside = [dataclasses.replace(each, label=-1) for each in images("more", brightness=200)]
    check = read_check(validate(labels, images={"train": images("train"), "unlabelled": beside}))
    assert check["drift"]["images_now"] == 600
    brightness, label = (
        next(each for each in check["drift"]["features"] if each["feature"] == name)
        for name in ("brightness", "label")
    )
    assert brightness["status"] == "warn"
    assert label["distance"] == 0


def test_reference_images_are_held_out(validate) -> None:
    described = images("train")
    beside = [dataclasses.replace(each, brightness=200) for each in images("beside", count=4)]
    copy = dataclasses.replace(described[0], id="reference://ant/0")
    data = {"train": described, "reference": [*beside, copy]}
    anomalies = validate({**SOUND, "reference": [0, 1]}, images=data)
    profile = json.loads(pathlib.Path(anomalies.uri, "profile.json").read_text())
    assert profile["images"] == 300
    found = read_check(anomalies)["duplicates"]
    assert [(each["split"], each["images"], each["exact"]) for each in found] == [
        ("validation", 1, 0),
        ("test", 2, 0),
        ("reference", 5, 1),
    ]


def test_says_that_a_student_without_a_profile_cannot_be_compared_with(validate, ship, notes) -> None:
    ship()
    assert read_check(validate(SOUND, drift={"stop": 0.3}))["drift"] is None
    assert notes() == [
        "the student that ships, 17, has no profile of its training images: drift is not measured"
    ]


def test_duplicates_are_told_or_refused(validate, notes) -> None:
    described = images("train")
    copies = [dataclasses.replace(each, id=f"copy/{number}") for number, each in enumerate(described[:2])]
    data = {"train": described, "test": [*images("test", count=8), *copies]}
    sentence = (
        "2 of the 10 test images are among the training images too (2 exact, 0 near duplicates): "
        "copy/0 is train/0, copy/1 is train/1"
    )
    check = read_check(validate(SOUND, images=data))
    assert check["duplicates"][1] == {
        "split": "test",
        "images": 10,
        "exact": 2,
        "near": 0,
        "pairs": [
            {"image": f"copy/{number}", "training_image": f"train/{number}", "kind": "exact"}
            for number in range(2)
        ],
    }
    assert notes() == [sentence]
    with pytest.raises(InputError) as caught:
        validate(SOUND, images=data, duplicates="refuse")
    assert str(caught.value) == f"{sentence}; remove them from one of the two, or set duplicates: warn."
    assert not isinstance(caught.value, DriftError)
