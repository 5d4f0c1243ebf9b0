import json
import math
import pathlib
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components.errors import InputError
from components.example_validator.anomalies import describe
from components.example_validator.executor import Executor

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
    ) -> Any:
        data = make_data(labels, class_names=classes, weight=weight)
        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        inputs = {"statistics": [data.statistics], "schema": [make_schema(data)]}
        properties = {"exclude_splits": "[]", "class_weights": json.dumps(class_weights)}
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
