"""Runs the graph on this machine, in a workspace."""

import contextlib
import datetime
import functools
import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from components import tfx_patches
from components.errors import InputError
from components.example_gen.spans.pattern import holds_span
from components.report.summary import Summary
from components.serving.versions import NO_VERSION, OvertakenError, Versions
from components.storage import beam_files, copies, files
from components.storage.uri import is_remote
from pipeline.beam.reaching import check_engine
from pipeline.config.experiment import Config
from pipeline.events import Event, Report
from pipeline.local.background import NodeError, Task, run_in_background
from pipeline.local.external_files import check_files, fingerprint_files
from pipeline.local.workspace import LOG_HEADING, Workspace, locked

if TYPE_CHECKING:
    from pipeline.beam.operator import Engine

Orchestrator = Literal["local", "beam"]

_LOST = "Could not connect to the endpoint URL"  # As the client says by which Beam reaches S3.


@contextlib.contextmanager
def running(
    config: Config, *, workspace: Workspace, orchestrator: Orchestrator = "local"
) -> Iterator[Iterator[Event]]:
    """Runs an experiment in a process of its own, which ends with the context at the latest.

    Args:
      config: The experiment.
      workspace: Where its outputs and its log go; made if need be, and locked while the run goes on.
      orchestrator: Which of TFX's runners walks the graph.

    Yields:
      The events of the nodes as they come, then `RunFinished` or `RunFailed`.

    Raises:
      InputError: The data, a teacher's file, Beam's engine, the workspace or the database cannot be used.
    """
    check_files(config)
    check_engine(config.beam)
    workspace.check()
    with (
        locked(workspace),
        running_checked(config, workspace=workspace, orchestrator=orchestrator) as events,
    ):
        yield events


@contextlib.contextmanager
def running_checked(
    config: Config, *, workspace: Workspace, orchestrator: Orchestrator = "local"
) -> Iterator[Iterator[Event]]:
    """Runs an experiment as `running` does, once its files are checked and its workspace is locked."""
    task = functools.partial(run_graph, config=config, workspace=workspace, orchestrator=orchestrator)
    with running_in(workspace, task=task, title=f"{config.name}, orchestrated by {orchestrator}") as events:
        yield events


@contextlib.contextmanager
def running_in(workspace: Workspace, *, task: Task, title: str) -> Iterator[Iterator[Event]]:
    """Runs a task in a process of its own.

    Args:
      workspace: Where its log goes; locked by the caller.
      task: A picklable function that reports events and returns the summary of the run.
      title: What runs, for the log.

    Yields:
      The events of the task as they come, then `RunFinished` or `RunFailed`.
    """
    with workspace.log.open("a", encoding="utf-8") as log:
        log.write(f"{LOG_HEADING}{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {title}\n")
    with contextlib.closing(run_in_background(task, log=workspace.log)) as events:
        yield events


def run_graph(report: Report, *, config: Config, workspace: Workspace, orchestrator: Orchestrator) -> Summary:
    """Builds the graph, runs it in this process, and writes the summary. Imports TFX.

    Args:
      report: Receives the events of the nodes.
      config: The experiment.
      workspace: Where its outputs go.
      orchestrator: Which of TFX's runners walks the graph.

    Returns:
      The summary of the run. If another run pushes to the same directory meanwhile, the student is compared
      again, with what ships then.

    Raises:
      InputError: The user's data or models cannot be used.
      NodeError: A node failed.
    """
    # What these imports make, some 700,000 objects, stays: nobody need look through it for garbage.
    gc.disable()
    from pipeline import graph
    from pipeline.beam.operator import Engine
    from pipeline.config import hints
    from pipeline.results.collecting import write_summary

    gc.freeze()
    gc.enable()
    hints.check_hints(config)
    push_directory = workspace.push_directory(config)
    create_pipeline = functools.partial(
        graph.create_pipeline,
        config,
        root=workspace.artifacts,
        pipeline_name=workspace.pipeline_name(config),
        metadata=workspace.database.connection_config(),
        push_directory=push_directory,
        checkpoint_directory=workspace.checkpoints,
    )
    beam_files.use_options(config.beam.options)
    engine = Engine(settings=config.beam, root=workspace.artifacts)
    with copies.kept_in(workspace.copies):
        fingerprints = fingerprint_files(config, workspace=workspace, push_directory=push_directory)
        while True:
            try:
                nodes = run_pipeline(
                    functools.partial(create_pipeline, fingerprints=fingerprints),
                    orchestrator=orchestrator,
                    engine=engine,
                    report=report,
                    password=workspace.mysql.password if workspace.mysql else "",
                )
                break
            except OvertakenError:
                # All that trains comes from the cache.
                fingerprints |= {"incumbent": Versions(push_directory).shipping() or NO_VERSION}
            except NodeError as error:
                _check_reached(config, workspace, cause=error)
                raise
        return write_summary(
            config,
            workspace=workspace.directory,
            database=workspace.database,
            pipeline_name=workspace.pipeline_name(config),
            nodes=nodes,
            fingerprints=fingerprints,
        )


def _check_reached(config: Config, workspace: Workspace, *, cause: NodeError) -> None:
    """Raises InputError if a node may have failed because a store is gone, of which Beam makes a fault."""
    location = getattr(config.data, config.data.location_key or "", None) or ""
    for uri in (workspace.pipeline_root or "", location):
        if is_remote(uri) and not holds_span(uri):
            try:
                files.check_readable(uri)
            except InputError as error:
                raise InputError(f"{cause.node} was interrupted: {error}") from cause
    if _LOST in str(cause.__cause__):  # It is there again.
        raise InputError(
            f"{cause.node} was interrupted: the object store was away for a while; run again to go on."
        ) from cause


def run_pipeline(
    create_pipeline: Callable[[], Any],
    *,
    orchestrator: Orchestrator,
    engine: "Engine",
    report: Report,
    password: str = "",
) -> dict[str, dict[str, Any]]:
    """Runs a TFX pipeline in this process. Imports TFX.

    Args:
      create_pipeline: Builds the `tfx.dsl.Pipeline`.
      orchestrator: Which of TFX's runners walks the graph.
      engine: On what Beam's pipelines run.
      report: Receives the events of the nodes.
      password: Of the database of ML Metadata, which the pipeline does not hold.

    Returns:
      `{id: {"state": "completed" | "cached", "seconds": float}}` for each node.

    Raises:
      InputError: The user's data or models cannot be used.
      NodeError: A node failed.
    """
    from absl import logging
    from tfx.orchestration.beam import beam_dag_runner
    from tfx.orchestration.local import local_dag_runner

    from components.storage import tfx_file_system
    from pipeline.local import observer

    tfx_file_system.register()
    logging.set_verbosity(logging.INFO)
    orchestrators = {"local": local_dag_runner.LocalDagRunner, "beam": beam_dag_runner.BeamDagRunner}
    pipeline = create_pipeline()
    with (
        tfx_patches.wherever_nodes_run(),
        tfx_patches.loopback_workers(),
        observer.observed(report, engine=engine, password=password) as watched,
    ):
        try:
            orchestrators[orchestrator]().run(pipeline)
        except Exception:
            if watched.failure is None:
                raise
            raise watched.failure  # noqa: B904
    return watched.nodes
