import pathlib
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.components.statistics_gen.executor import Executor as StatisticsGen
from tfx.types import standard_artifacts

from components.schema_gen.schema import class_names, has_weights, infer_schema, statistics_options

CLASSES = ["ant", "bee", "cat"]
LABELS = {"train": [0, 1, 1, 2], "validation": [2], "test": [0, 0]}


@pytest.fixture
def schema(make_data, make_schema) -> schema_pb2.Schema:
    artifact = make_schema(make_data(LABELS, class_names=CLASSES))
    (path,) = pathlib.Path(artifact.uri).iterdir()
    assert path.name == "schema.pbtxt"
    return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())


def read_statistics(statistics: Any, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    path = pathlib.Path(statistics.uri, f"Split-{split}", "FeatureStats.pb")
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def test_the_label_is_an_index_of_the_class_names(schema: schema_pb2.Schema) -> None:
    assert class_names(schema) == ("ant", "bee", "cat")
    assert not has_weights(schema)
    (label,) = [feature for feature in schema.feature if feature.name == "label"]
    assert label.int_domain == schema_pb2.IntDomain(min=0, max=2, is_categorical=True)
    assert [domain.name for domain in schema.string_domain] == ["class_names"]


def test_without_labels_their_absence_is_in_the_domain(make_data, make_schema) -> None:
    artifact = make_schema(make_data(LABELS | {"train": [-1, -1]}, class_names=CLASSES))
    (path,) = pathlib.Path(artifact.uri).iterdir()
    schema = text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    (label,) = [feature for feature in schema.feature if feature.name == "label"]
    assert (label.int_domain.min, label.int_domain.max) == (-1, 2)
    assert class_names(schema) == ("ant", "bee", "cat")


def test_every_feature_is_a_required_scalar(schema: schema_pb2.Schema) -> None:
    from tensorflow_transform.tf_metadata import schema_utils

    assert schema_utils.schema_as_feature_spec(schema).feature_spec == {
        "image": tf.io.FixedLenFeature([], tf.string),
        "id": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "height": tf.io.FixedLenFeature([], tf.int64),
        "width": tf.io.FixedLenFeature([], tf.int64),
    }
    assert {feature.presence.min_fraction for feature in schema.feature} == {1.0}


def test_a_weight_is_a_required_number_that_is_not_negative(make_data, make_schema) -> None:
    artifact = make_schema(make_data(LABELS, class_names=CLASSES, weight=0.5))
    (path,) = pathlib.Path(artifact.uri).iterdir()
    schema = text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    (weight,) = [feature for feature in schema.feature if feature.name == "weight"]
    assert has_weights(schema)
    assert weight.type == schema_pb2.FLOAT
    assert weight.presence.min_fraction == 1
    assert weight.float_domain == schema_pb2.FloatDomain(min=0, disallow_nan=True, disallow_inf=True)


def test_the_order_of_the_statistics_does_not_matter(make_data) -> None:
    statistics = read_statistics(make_data(LABELS, class_names=CLASSES).statistics, "train")
    schema = infer_schema(statistics, class_names=CLASSES).SerializeToString()
    statistics.datasets[0].features.sort(key=lambda each: each.path.step[0], reverse=True)
    backwards = [feature.path.step[0] for feature in statistics.datasets[0].features]
    assert backwards == ["width", "label", "image", "id", "height"]
    assert infer_schema(statistics, class_names=CLASSES).SerializeToString() == schema


def test_a_foreign_schema_has_no_class_names() -> None:
    with pytest.raises(ValueError, match="no string_domain 'class_names'"):
        class_names(schema_pb2.Schema())


def test_statistics_count_labels_and_leave_images_and_ids_alone(
    make_data, artifact, tmp_path: pathlib.Path
) -> None:
    data = make_data(LABELS, class_names=CLASSES)
    statistics = artifact(standard_artifacts.ExampleStatistics, tmp_path / "of_the_node")

    StatisticsGen().Do(
        {"examples": [data.examples]},
        {"statistics": [statistics]},
        {"stats_options_json": statistics_options().to_json(), "exclude_splits": "[]"},
    )

    for split in LABELS:  # What the other tests work on is what the node writes.
        assert read_statistics(data.statistics, split) == read_statistics(statistics, split)
    (found,) = read_statistics(statistics, "train").datasets
    features = {feature.path.step[0]: feature for feature in found.features}
    for name in ("image", "id"):
        assert features[name].WhichOneof("stats") == "bytes_stats"
        assert features[name].bytes_stats.common_stats.num_non_missing == 4
    assert features["image"].bytes_stats.max_num_bytes == 6
    counts = features["label"].string_stats.rank_histogram.buckets
    assert {bucket.label: bucket.sample_count for bucket in counts} == {"0": 1, "1": 2, "2": 1}
    assert (features["height"].num_stats.min, features["height"].num_stats.max) == (8, 10)
