"""The graph here is a stand-in that writes what the summary reads; TFX runs it and keeps its metadata."""

import json
import pathlib

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.errors import InputError
from components.report.summary import Run, Summary
from pipeline.config.experiment import Config
from pipeline.metadata.database import SqliteFile
from pipeline.results.collecting import write_summary

NODES = ("ExampleGen", "StatisticsGen", "ExampleValidator", "Evaluator", "Pusher")
FINGERPRINTS = {"data": "d", "teacher": "t", "student": "s", "incumbent": "none"}
TESTS = pathlib.Path(__file__).parents[2]


def write(artifact, name, content):
    pathlib.Path(artifact.uri, name).write_text(json.dumps(content))


@component
def ExampleGen(examples: OutputArtifact[standard_artifacts.Examples]):
    skipped = [{"id": "cat/1.jpg", "reason": "truncated"}]
    splits = {
        "test": {"examples": 4, "skipped": []},
        "train": {"examples": 8, "skipped": skipped},
        "validation": {"examples": 2, "skipped": []},
        "unlabelled": {"examples": 40, "skipped": []},
    }
    spans = [{"span": "6", "version": None}, {"span": "7", "version": None}]
    content = {"class_names": ["ant", "bee", "cat"], "spans": spans, "splits": splits}
    write(examples, "dataset.json", content)


@component
def StatisticsGen(statistics: OutputArtifact[standard_artifacts.ExampleStatistics]):
    for split, counts in (("train", [5, 3]), ("validation", [1, 1]), ("test", [4]), ("unlabelled", [])):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        feature = found.datasets.add().features.add()
        feature.path.step.append("label")
        for label, count in enumerate(counts):
            feature.string_stats.rank_histogram.buckets.add(label=str(label), sample_count=count)
        path = pathlib.Path(statistics.uri, f"Split-{split}", "FeatureStats.pb")
        path.parent.mkdir()
        path.write_bytes(found.SerializeToString())


@component
def ExampleValidator(anomalies: OutputArtifact[standard_artifacts.ExampleAnomalies]):
    for split in ("train", "validation", "test"):
        found = anomalies_pb2.Anomalies()
        if split == "test":
            found.anomaly_info["label"].short_description = "Skewed"
            found.anomaly_info["label"].description = "No dogs."
        path = pathlib.Path(anomalies.uri, f"Split-{split}", "SchemaDiff.pb")
        path.parent.mkdir()
        path.write_bytes(found.SerializeToString())


@component
def Evaluator(evaluation: OutputArtifact[standard_artifacts.ModelEvaluation], accuracy: Parameter[float]):
    content = json.loads((TESTS / "example_summary.json").read_text())
    for key in Run.model_fields:
        del content[key]
    content["models"]["kd_t2"]["accuracy"] = accuracy
    write(evaluation, "evaluation.json", content | {"verdict": f"Accuracy {accuracy}."})


@component
def Pusher(pushed_model: OutputArtifact[standard_artifacts.PushedModel], destination: Parameter[str]):
    pushed_model.set_int_custom_property("pushed", int(bool(destination)))
    if destination:
        pushed_model.set_string_custom_property("pushed_destination", destination)


@pytest.fixture
def config():
    model = {"architecture": "digits_student", "epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    return Config.model_validate(
        {
            "name": "pets",
            "data": {"source": "digits"},
            "image": {"height": 8, "width": 8, "channels": 1},
            "teacher": model,
            "student": model,
            "distillations": [{"name": "kd_t4", "method": "kd"}],
        }
    )


@pytest.fixture
def run(tmp_path):
    """Runs the stand-in graph in the workspace `tmp_path`."""

    def run(*, accuracy=0.75, destination="", name="pets"):
        nodes = [
            ExampleGen().with_id("ExampleGen"),
            StatisticsGen().with_id("StatisticsGen"),
            ExampleValidator().with_id("ExampleValidator"),
            Evaluator(accuracy=accuracy).with_id("Evaluator"),
            Pusher(destination=destination).with_id("Pusher"),
        ]
        metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(tmp_path / "metadata.sqlite")
        )
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name=name,
                pipeline_root=str(tmp_path / "artifacts"),
                components=nodes,
                enable_cache=True,
                metadata_connection_config=metadata,
            )
        )

    return run


def summarise(config, workspace):
    nodes = {node: {"state": "completed", "seconds": 1.5} for node in NODES}
    written = write_summary(
        config,
        workspace=workspace,
        database=SqliteFile(workspace / "metadata.sqlite"),
        pipeline_name="pets",
        nodes=nodes,
        fingerprints=FINGERPRINTS,
    )
    assert Summary.model_validate_json((workspace / "summary.json").read_text()) == written
    return written.model_dump(mode="json")


def test_summary_counts_the_images_without_labels(run, config, tmp_path):
    run()
    data = config.data.model_copy(update={"labelled_fraction": 0.1})
    summary = summarise(config.model_copy(update={"data": data}), tmp_path)

    assert list(summary["data"]) == ["train", "validation", "test", "unlabelled"]
    assert summary["data"]["unlabelled"] == {
        "examples": 40,
        "skipped": 0,
        "skipped_images": [],
        "classes": None,
    }


def test_summary_of_the_latest_run_cached_or_not(run, config, tmp_path):
    run(accuracy=0.5)
    run(accuracy=0.75, destination=str(tmp_path / "pushed" / "17"))
    run(accuracy=0.25, name="another-pipeline")
    changed = summarise(config, tmp_path)
    run(accuracy=0.5)
    cached = summarise(config, tmp_path)

    assert changed["models"]["kd_t2"]["accuracy"] == 0.75
    assert changed["pushed_model"] == str(tmp_path / "pushed" / "17")
    assert cached["models"]["kd_t2"]["accuracy"] == 0.5
    assert cached["pushed_model"] is None
    assert json.loads((tmp_path / "summary.json").read_text()) == cached
    assert {key: cached[key] for key in ("schema_version", "name", "blessed", "verdict", "candidate")} == {
        "schema_version": 1,
        "name": "pets",
        "blessed": False,
        "verdict": "Accuracy 0.5.",
        "candidate": "kd_t2",
    }
    assert cached["nodes"]["Pusher"] == {"state": "completed", "seconds": 1.5}
    assert list(cached["data"]) == ["train", "validation", "test"]
    assert cached["spans"] == [{"span": "6", "version": None}, {"span": "7", "version": None}]
    assert cached["data"]["test"] == {
        "examples": 4,
        "skipped": 0,
        "skipped_images": [],
        "classes": {"ant": 4, "bee": 0, "cat": 0},
    }
    assert cached["data"]["train"] == {
        "examples": 8,
        "skipped": 1,
        "skipped_images": [{"id": "cat/1.jpg", "reason": "truncated"}],
        "classes": {"ant": 5, "bee": 3, "cat": 0},
    }
    assert cached["anomalies"] == ["split 'test', feature 'label': Skewed: No dogs"]
    assert cached["seed"] == 42
    assert cached["configuration"]["distillations"][0]["name"] == "kd_t4"
    assert cached["fingerprints"] == FINGERPRINTS
    assert sorted(each["node"] for each in cached["lineage"]) == sorted(NODES)
    (examples,) = (each for each in cached["lineage"] if each["output"] == "examples")
    assert (examples["node"], examples["type"]) == ("ExampleGen", "Examples")
    assert (tmp_path / examples["uri"] / "dataset.json").exists()


def test_the_report_shows_the_run_with_paths_inside_the_workspace(run, config, tmp_path):
    run(destination=str(tmp_path / "pushed" / "17"))
    summarise(config, tmp_path)
    page = (tmp_path / "report.html").read_text()
    for shown in (
        "Accuracy 0.75.",
        "cat/1.jpg",
        "truncated",
        "Spans: 6, 7.",
        "ExampleValidator",
        "pushed/17",
    ):
        assert shown in page
    assert str(tmp_path) not in page


def test_a_workspace_without_the_experiment_says_so(run, config, tmp_path):
    run(name="another-pipeline")
    with pytest.raises(InputError, match="holds no run of 'pets'"):
        summarise(config, tmp_path)
