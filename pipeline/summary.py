"""What a run leaves for its user: `summary.json` and `report.html` in the workspace."""

import pathlib
from typing import Any

from ml_metadata import proto
from ml_metadata.metadata_store import MetadataStore

from components.errors import InputError
from components.evaluator.files import EVALUATION_FILE, REPORT_FILE, read_history
from components.evaluator.report import render
from components.files import read_json, write_json, write_text
from components.settings import SPLITS
from pipeline.config import Config
from pipeline.nodes import distiller_id

SCHEMA_VERSION = 1

Outputs = dict[tuple[str, str], proto.Artifact]


def write_summary(
    config: Config, *, workspace: pathlib.Path, nodes: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Writes `summary.json` and `report.html` for the latest run in a workspace.

    Args:
      config: The experiment that ran.
      workspace: Where it ran; holds `metadata.sqlite`.
      nodes: `{id: {"state": "completed" | "cached", "seconds": float}}`.

    Returns:
      The content of `summary.json`.

    Raises:
      InputError: The experiment never ran in this workspace.
    """
    outputs = _latest_outputs(workspace / "metadata.sqlite", pipeline_name=config.name)
    evaluation = read_json(pathlib.Path(outputs["Evaluator", "evaluation"].uri, EVALUATION_FILE))
    summary = {
        "schema_version": SCHEMA_VERSION,
        "name": config.name,
        **evaluation,
        "pushed_model": _pushed_model(outputs["Pusher", "pushed_model"]),
        "nodes": nodes,
        "data": _describe_data(outputs["ExampleGen", "examples"].uri),
    }
    shown = summary | {
        "pushed_model": _shorten(summary["pushed_model"], workspace=workspace),
        "histories": _read_histories(config, outputs),
    }
    write_text(workspace / REPORT_FILE, render(shown))
    write_json(workspace / "summary.json", summary)
    return summary


def _latest_outputs(metadata: pathlib.Path, *, pipeline_name: str) -> Outputs:
    """Returns the artifacts of the latest run, made or taken from the cache, by node id and output key."""
    store = _open(metadata)
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name)
    if pipeline is None:
        raise InputError(
            f"{metadata.parent} holds no run of {pipeline_name!r}; give the workspace it ran in."
        )
    latest = max(execution.id for execution in store.get_executions_by_context(pipeline.id))
    (run,) = (each for each in store.get_contexts_by_execution(latest) if each.type == "pipeline_run")
    node_of = {
        execution.id: context.name.removeprefix(f"{pipeline_name}.")
        for execution in store.get_executions_by_context(run.id)
        for context in store.get_contexts_by_execution(execution.id)
        if context.type == "node"
    }
    events = [
        event for event in store.get_events_by_execution_ids(node_of) if event.type == proto.Event.OUTPUT
    ]
    artifacts = store.get_artifacts_by_id([event.artifact_id for event in events])
    artifact_of = {artifact.id: artifact for artifact in artifacts}
    return {
        (node_of[event.execution_id], event.path.steps[0].key): artifact_of[event.artifact_id]
        for event in events
    }


def _open(metadata: pathlib.Path) -> MetadataStore:
    connection = proto.ConnectionConfig()
    connection.sqlite.filename_uri = str(metadata)
    connection.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READONLY
    return MetadataStore(connection)


def _pushed_model(artifact: proto.Artifact) -> str | None:
    """Returns the directory that Pusher pushed to, or None if it did not push."""
    if not artifact.custom_properties["pushed"].int_value:
        return None
    return artifact.custom_properties["pushed_destination"].string_value


def _shorten(path: str | None, *, workspace: pathlib.Path) -> str | None:
    """Returns a path relative to the workspace if it lies inside."""
    if path is None or not pathlib.Path(path).is_relative_to(workspace.absolute()):
        return path
    return str(pathlib.Path(path).relative_to(workspace.absolute()))


def _describe_data(examples_uri: str) -> dict[str, dict[str, Any]]:
    splits = read_json(pathlib.Path(examples_uri, "dataset.json"))["splits"]
    return {
        split: {
            "examples": splits[split]["examples"],
            "skipped": len(splits[split]["skipped"]),
            "skipped_images": splits[split]["skipped"],
        }
        for split in SPLITS
    }


def _read_histories(config: Config, outputs: Outputs) -> dict[str, dict[str, Any]]:
    """Reads the history of each model, in the order of the evaluation."""
    node_ids = {"teacher": "Teacher", "scratch": "Scratch"}
    node_ids |= {distillation.name: distiller_id(distillation.name) for distillation in config.distillations}
    return {name: read_history(outputs[node, "model_run"].uri) for name, node in node_ids.items()}
