"""What a run leaves for its user: `summary.json` and `report.html` in the workspace."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata import proto
from ml_metadata.metadata_store import MetadataStore
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.errors import InputError
from components.example_validator.anomalies import describe
from components.layout import DATASET_FILE, EVALUATION_FILE, SPLITS
from components.report.summary import (
    SCHEMA_VERSION,
    DataSpan,
    Evaluation,
    NodeRun,
    SkippedImage,
    Split,
    StoredArtifact,
    Summary,
)
from components.schema_gen.schema import count_labels
from components.storage.files import read_bytes, read_json
from components.storage.uri import join
from pipeline.config.experiment import Config
from pipeline.metadata.database import Database
from pipeline.results.workspace_files import shorten, write_results

Outputs = dict[tuple[str, str], proto.Artifact]


def write_summary(
    config: Config,
    *,
    workspace: pathlib.Path,
    database: Database,
    pipeline_name: str,
    nodes: Mapping[str, Mapping[str, Any]],
    fingerprints: Mapping[str, str],
) -> Summary:
    """Writes `summary.json` and `report.html` for the latest run in a workspace.

    Args:
      config: The experiment that ran.
      workspace: Where it ran.
      database: What ML Metadata knows.
      pipeline_name: By which it knows the runs.
      nodes: `{id: {"state": "completed" | "cached", "seconds": float}}`.
      fingerprints: With which the graph was made; see `pipeline.graph.create_pipeline`.

    Returns:
      The summary, as it was written.

    Raises:
      InputError: The experiment never ran in this workspace.
    """
    outputs = _latest_outputs(database.open_store(), pipeline_name=pipeline_name)
    if not outputs:
        raise InputError(f"{workspace} holds no run of {config.name!r}; give the workspace it ran in.")
    evaluation = _read_evaluation(outputs["Evaluator", "evaluation"].uri)
    summary = Summary(
        **dict(evaluation),
        schema_version=SCHEMA_VERSION,
        name=config.name,
        pushed_model=_pushed_model(outputs["Pusher", "pushed_model"]),
        seed=config.seed,
        nodes={node: NodeRun(**record) for node, record in nodes.items()},
        spans=_describe_spans(outputs),
        data=_describe_data(outputs, splits=config.data.split_names, class_names=evaluation.class_names),
        anomalies=_describe_anomalies(outputs["ExampleValidator", "anomalies"].uri),
        fingerprints=fingerprints,
        lineage=_describe_lineage(outputs, workspace=workspace),
        configuration=config.to_record(),
    )
    write_results(summary, workspace=workspace)
    return summary


def _latest_outputs(store: MetadataStore, *, pipeline_name: str) -> Outputs:
    """Returns the artifacts of the latest run, made or taken from the cache, by node id and output key."""
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name)
    if pipeline is None:
        return {}
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


def _read_evaluation(uri: str) -> Evaluation:
    return Evaluation.model_validate(read_json(join(uri, EVALUATION_FILE)))


def _pushed_model(artifact: proto.Artifact) -> str | None:
    """Returns the directory that Pusher pushed to, or None if it did not push."""
    if not artifact.custom_properties["pushed"].int_value:
        return None
    return artifact.custom_properties["pushed_destination"].string_value


def _read_dataset(outputs: Outputs) -> dict[str, Any]:
    return read_json(join(outputs["ExampleGen", "examples"].uri, DATASET_FILE))


def _describe_spans(outputs: Outputs) -> tuple[DataSpan, ...]:
    found = _read_dataset(outputs).get("spans", ())  # Examples in the cache of an older version have none.
    return tuple(DataSpan(**span) for span in found)


def _describe_data(
    outputs: Outputs, *, splits: Sequence[str], class_names: Sequence[str]
) -> dict[str, Split]:
    ingested = _read_dataset(outputs)["splits"]
    statistics = outputs["StatisticsGen", "statistics"].uri
    return {
        split: Split(
            examples=ingested[split]["examples"],
            skipped=len(ingested[split]["skipped"]),
            skipped_images=tuple(SkippedImage(**image) for image in ingested[split]["skipped"]),
            classes=_count_labels(join(statistics, f"Split-{split}", "FeatureStats.pb"), class_names),
        )
        for split in splits
    }


def _count_labels(uri: str, class_names: Sequence[str]) -> dict[str, int] | None:
    """Reads the number of examples of each class; None if the statistics count none."""
    found = statistics_pb2.DatasetFeatureStatisticsList.FromString(read_bytes(uri))
    counts = count_labels(found) or {}
    if not counts.keys() & set(range(len(class_names))):
        return None
    return {name: counts.get(label, 0) for label, name in enumerate(class_names)}


def _describe_anomalies(uri: str) -> tuple[str, ...]:
    anomalies = {}
    for split in SPLITS:
        content = read_bytes(join(uri, f"Split-{split}", "SchemaDiff.pb"))
        anomalies[split] = anomalies_pb2.Anomalies.FromString(content)
    return tuple(describe(anomalies))


def _describe_lineage(outputs: Outputs, *, workspace: pathlib.Path) -> tuple[StoredArtifact, ...]:
    """Lists the artifacts of a run in the order in which they were made."""
    return tuple(
        StoredArtifact(
            node=node,
            output=output,
            type=artifact.type,
            artifact_id=artifact.id,
            uri=shorten(artifact.uri, workspace=workspace),
        )
        for (node, output), artifact in sorted(outputs.items(), key=lambda item: item[1].id)
    )
