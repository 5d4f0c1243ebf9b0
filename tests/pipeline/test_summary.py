"""The graph here is a stand-in that writes what the summary reads; TFX runs it and keeps its metadata."""

import json
import pathlib

import pytest
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.errors import InputError
from pipeline.config import Config
from pipeline.summary import write_summary

NODES = ("ExampleGen", "Teacher", "Scratch", "Distiller-kd-t4", "Evaluator", "Pusher")


def write(artifact, name, content):
    pathlib.Path(artifact.uri, name).write_text(json.dumps(content))


@component
def ExampleGen(examples: OutputArtifact[standard_artifacts.Examples]):
    skipped = [{"id": "cat/1.jpg", "reason": "truncated"}]
    splits = {
        "test": {"examples": 4, "skipped": []},
        "train": {"examples": 8, "skipped": skipped},
        "validation": {"examples": 2, "skipped": []},
    }
    write(examples, "dataset.json", {"class_names": ["cat", "dog"], "splits": splits})


@component
def Trainer(model_run: OutputArtifact[standard_artifacts.ModelRun], accuracy: Parameter[float]):
    epochs = [{"epoch": 1, "val_accuracy": accuracy, "val_loss": 0.5}]
    write(model_run, "history.json", {"best_epoch": 1, "epochs": epochs})


@component
def Evaluator(evaluation: OutputArtifact[standard_artifacts.ModelEvaluation], accuracy: Parameter[float]):
    per_class = {name: {"accuracy": accuracy, "examples": 2} for name in ("cat", "dog")}
    models = {
        name: {"role": role, "accuracy": accuracy, "cross_entropy": 0.5, "parameters": 15, "size_bytes": 1000}
        | {"per_class": per_class}
        for name, role in (("teacher", "teacher"), ("scratch", "scratch"), ("kd_t4", "distilled"))
    }
    content = {"class_names": ["cat", "dog"], "test_examples": 4, "candidate": "kd_t4", "blessed": True}
    content |= {"verdict": f"Accuracy {accuracy}.", "gates": [], "models": models}
    write(evaluation, "evaluation.json", content)


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
            Trainer(accuracy=0.9).with_id("Teacher"),
            Trainer(accuracy=0.8).with_id("Scratch"),
            Trainer(accuracy=accuracy).with_id("Distiller-kd-t4"),
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
    return write_summary(
        config, workspace=workspace, nodes={node: {"state": "completed", "seconds": 1.5} for node in NODES}
    )


def test_summary_of_the_latest_run_cached_or_not(run, config, tmp_path):
    run(accuracy=0.5)
    run(accuracy=0.75, destination=str(tmp_path / "pushed" / "17"))
    run(accuracy=0.25, name="another-pipeline")
    changed = summarise(config, tmp_path)
    run(accuracy=0.5)
    cached = summarise(config, tmp_path)

    assert changed["models"]["kd_t4"]["accuracy"] == 0.75
    assert changed["pushed_model"] == str(tmp_path / "pushed" / "17")
    assert cached["models"]["kd_t4"]["accuracy"] == 0.5
    assert cached["pushed_model"] is None
    assert json.loads((tmp_path / "summary.json").read_text()) == cached
    assert {key: cached[key] for key in ("schema_version", "name", "blessed", "verdict", "candidate")} == {
        "schema_version": 1,
        "name": "pets",
        "blessed": True,
        "verdict": "Accuracy 0.5.",
        "candidate": "kd_t4",
    }
    assert cached["nodes"]["Pusher"] == {"state": "completed", "seconds": 1.5}
    assert list(cached["data"]) == ["train", "validation", "test"]
    assert cached["data"]["test"] == {"examples": 4, "skipped": 0, "skipped_images": []}
    assert cached["data"]["train"] == {
        "examples": 8,
        "skipped": 1,
        "skipped_images": [{"id": "cat/1.jpg", "reason": "truncated"}],
    }


def test_the_report_shows_the_run_with_paths_inside_the_workspace(run, config, tmp_path):
    run(destination=str(tmp_path / "pushed" / "17"))
    summarise(config, tmp_path)
    page = (tmp_path / "report.html").read_text()
    for shown in (
        "Accuracy 0.75.",
        "cat/1.jpg",
        "truncated",
        "Distiller-kd-t4",
        "kd_t4: best 75.0",
        "pushed/17",
    ):
        assert shown in page
    assert str(tmp_path) not in page


def test_a_workspace_without_the_experiment_says_so(run, config, tmp_path):
    run(name="another-pipeline")
    with pytest.raises(InputError, match="holds no run of 'pets'"):
        summarise(config, tmp_path)
