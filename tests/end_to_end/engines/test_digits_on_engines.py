"""The digits on a Flink cluster, and on Prism, leave what they leave in one process."""

import pathlib
from typing import Any

import pytest
from command_line import NODES, run, states
from digits import ON_BEAM, QUICK, assert_same_metrics, contents

pytestmark = pytest.mark.flink


@pytest.fixture(scope="module", params=["cluster", "prism"])
def elsewhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workspace of the run `alone` on an engine."""
    engine = request.getfixturevalue(request.param)
    workspace = tmp_path_factory.mktemp(f"on_{request.param}")
    summary, _ = run("digits.yaml", workspace, *QUICK, *engine.options)
    assert states(summary) == dict.fromkeys(NODES, "completed")
    return workspace


@pytest.mark.parametrize("elsewhere", ["cluster"], indirect=True)
def test_both_task_managers_work_on_every_node(elsewhere: pathlib.Path, cluster: Any) -> None:
    jobs = cluster.ask("/jobs/overview")["jobs"]

    assert len(jobs) > len(ON_BEAM)  # The first is to try the cluster.
    assert {job["state"] for job in jobs} == {"FINISHED"}
    for job in jobs:
        assert cluster.hosts_of(job["jid"]) == {"taskmanager-1", "taskmanager-2"}


@pytest.mark.parametrize("artifact", ["ExampleGen/examples", "Transform/transformed_examples"])
def test_examples_are_the_same_byte_for_byte(
    alone: pathlib.Path, elsewhere: pathlib.Path, artifact: str
) -> None:
    before, after = (contents(workspace, artifact) for workspace in (alone, elsewhere))

    assert {path.parts[0] for path in before} >= {"Split-train", "Split-validation", "Split-test"}
    assert after == before


def test_statistics_and_schema_are_equal(alone: pathlib.Path, elsewhere: pathlib.Path) -> None:
    """But for the order of the features, which depends on the order of the images."""
    for of in (_statistics, _schema):
        before, after = of(alone), of(elsewhere)
        assert before
        assert after == before


def test_the_transform_graph_computes_the_same(alone: pathlib.Path, elsewhere: pathlib.Path) -> None:
    import numpy as np
    import tensorflow as tf
    import tensorflow_transform as tft

    (examples,) = alone.glob("artifacts/ExampleGen/examples/*")
    files = [str(file) for file in sorted(examples.glob("Split-*/*"))]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    raw = [tf.train.Example.FromString(record.numpy()).features.feature for record in records]
    images, ids = ([each[name].bytes_list.value[0] for each in raw] for name in ("image", "id"))
    sizes = tf.fill([len(images)], tf.constant(8, tf.int64))
    inputs = {"image": tf.constant(images), "id": tf.constant(ids), "height": sizes, "width": sizes}
    pixels = []
    for workspace in (alone, elsewhere):
        (graph,) = workspace.glob("artifacts/Transform/transform_graph/*")
        layer = tft.TFTransformOutput(str(graph)).transform_features_layer()
        pixels.append(layer(inputs)["image"].numpy())

    assert [len(each) for each in pixels[0]] == [8 * 8] * 1797
    np.testing.assert_array_equal(*pixels)


def test_the_metrics_are_equal(alone: pathlib.Path, elsewhere: pathlib.Path) -> None:
    assert_same_metrics(alone, elsewhere)


def test_what_an_engine_has_made_comes_from_the_cache_without_it(elsewhere: pathlib.Path) -> None:
    summary, _ = run("digits.yaml", elsewhere, *QUICK)

    assert {states(summary)[node] for node in ON_BEAM} == {"cached"}


def _statistics(workspace: pathlib.Path) -> dict[tuple[str, str], Any]:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    return {
        (path.parts[0], feature.path.step[0]): feature
        for path, content in contents(workspace, "StatisticsGen/statistics").items()
        for feature in DatasetFeatureStatisticsList.FromString(content).datasets[0].features
    }


def _schema(workspace: pathlib.Path) -> dict[str, Any]:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    content = contents(workspace, "SchemaGen/schema")[pathlib.PurePath("schema.pbtxt")]
    return {feature.name: feature for feature in text_format.Parse(content, Schema()).feature}
