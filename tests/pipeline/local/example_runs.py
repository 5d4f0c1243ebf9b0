"""Runs of a small TFX pipeline in a workspace, called as those of configs/digits.yaml are."""

import pathlib

from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, String

from components.storage import files
from pipeline.beam.operator import Engine
from pipeline.config.loading import load_config
from pipeline.local.run import run_pipeline
from pipeline.local.workspace import Workspace, locked

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


@component
def Trainer(weights: Parameter[str], model: OutputArtifact[Model]) -> None:
    for name in ("a", "b"):
        files.write_text(f"{model.uri}/{name}", weights)


@component
def Pusher(model: InputArtifact[Model], fault: Parameter[str], pushed: OutputArtifact[String]) -> None:
    if fault:
        raise KeyError(fault)
    pushed.value = model.uri


def run(workspace: Workspace, *, weights: str, fault: str = "", name: str = "digits") -> dict[str, str]:
    """Runs it, and returns whether its nodes were completed or cached."""
    with locked(workspace):
        return _run(workspace, weights=weights, fault=fault, name=name)


def _run(workspace: Workspace, *, weights: str, fault: str, name: str) -> dict[str, str]:
    with workspace.log.open("a", encoding="utf-8") as log:
        log.write(f"\n==== {weights}\n")
    config = load_config(DIGITS, overrides=[f"name={name}"])
    trainer = Trainer(weights=weights)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=workspace.pipeline_name(config),
        pipeline_root=str(workspace.artifacts),
        components=[trainer, Pusher(model=trainer.outputs["model"], fault=fault)],
        enable_cache=True,
        metadata_connection_config=workspace.database.connection_config(),
    )
    password = workspace.mysql.password if workspace.mysql else ""
    nodes = run_pipeline(
        lambda: pipeline,
        orchestrator="local",
        engine=Engine(settings=config.beam, root=str(workspace.artifacts)),
        report=lambda event: None,
        password=password,
    )
    return {node: record["state"] for node, record in nodes.items()}
