"""Watches TFX run the nodes of a graph, under either of its local runners."""

import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from ml_metadata import proto
from tfx.orchestration import metadata
from tfx.orchestration.portable import data_types, launcher
from tfx.proto.orchestration import executable_spec_pb2

from components import tfx_patches
from components.errors import InputError
from pipeline.beam.failures import explain
from pipeline.beam.operator import Engine, operator_for
from pipeline.config.beam import Engine as BeamEngine
from pipeline.events import (
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeProgress,
    NodeShards,
    NodeStarted,
    Report,
)
from pipeline.local.background import NodeError

_LOGGER = "components"  # The modules of the nodes log below it.

_running_node: contextvars.ContextVar[str] = contextvars.ContextVar("running_node")


class Observer:
    """Reports each node that runs, and keeps what became of it.

    Attributes:
      nodes: `{id: {"state": "completed" | "cached", "seconds": float}}` of the nodes that finished.
      failure: The first error of a node, as it was raised there. Beam would make text of it.
    """

    def __init__(self, report: Report, *, engine: BeamEngine) -> None:
        self._report = report
        self._engine = engine
        self.nodes: dict[str, dict[str, Any]] = {}
        self.failure: InputError | NodeError | None = None

    def launch(
        self,
        node: str,
        *,
        launch: Callable[[], data_types.ExecutionInfo | None],
        connection: metadata.Metadata,
    ) -> data_types.ExecutionInfo | None:
        """Runs a node and reports its start, its end, and how long it took.

        Args:
          node: The id of the node.
          launch: Runs the node and returns the record of its execution.
          connection: The metadata store that knows the outcome.

        Returns:
          What `launch` returned.

        Raises:
          Exception: What `launch` raised, or a RuntimeError when it found no input for the node.
        """
        _running_node.set(node)
        self._report(NodeStarted(node))
        start = time.monotonic()
        try:
            execution = launch()
            state = _outcome(execution, connection=connection)
        except Exception as error:
            self._report(NodeFailed(node, seconds=time.monotonic() - start))
            self.failure = self.failure or _as_failure(error, node=node, engine=self._engine)
            raise
        seconds = time.monotonic() - start
        self.nodes[node] = {"state": state, "seconds": seconds}
        self._report(NodeFinished(node, state=state, seconds=seconds))
        return execution


class _ProgressHandler(logging.Handler):
    """Reports the progress, or the note for the user, that a log record carries."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        told = getattr(record, "told", None)
        if told is not None:
            self._report(NodeNote(_running_node.get(), told))
        written = getattr(record, "shards_written", None)
        if written is not None:
            self._report(NodeShards(_running_node.get(), written.number, written.total))
        progress = getattr(record, "training_progress", None)
        if progress is None:
            return
        self._report(
            NodeProgress(
                node=_running_node.get(),
                epoch=progress.epoch,
                epochs=progress.epochs,
                step=progress.step,
                steps=progress.steps,
                loss=progress.loss,
                accuracy=progress.accuracy,
                seconds_left=progress.seconds_left,
            )
        )


@contextlib.contextmanager
def observed(report: Report, *, engine: Engine, password: str = "") -> Iterator[Observer]:
    """Makes every node that TFX launches in this process report, and run on an engine if it uses Beam.

    Args:
      report: Receives the events.
      engine: On what Beam's pipelines run.
      password: Of the database of ML Metadata, which the pipeline does not hold: TFX logs what that does.

    Yields:
      The observer.
    """
    observer = Observer(report, engine=engine.settings.engine)
    operators = {executable_spec_pb2.BeamExecutableSpec: operator_for(engine)}

    class ObservedLauncher(launcher.Launcher):
        """A launcher that reports, and that alone knows the password of the database."""

        def __init__(self, *, mlmd_connection: metadata.Metadata, **specification: Any) -> None:
            config = mlmd_connection.connection_config
            if password:
                config.mysql.password = password
            super().__init__(
                mlmd_connection=metadata.Metadata(config),
                custom_executor_operators=operators,
                **specification,
            )

        def launch(self) -> data_types.ExecutionInfo | None:
            """Runs the node."""
            node = self._pipeline_node.node_info.id
            return observer.launch(node, launch=super().launch, connection=self._mlmd_connection)

    handler = _ProgressHandler(report)
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with tfx_patches.launcher(ObservedLauncher):
            yield observer
    finally:
        logger.removeHandler(handler)


def _outcome(
    execution: data_types.ExecutionInfo | None, *, connection: metadata.Metadata
) -> Literal["completed", "cached"]:
    """Asks the metadata store, since a launcher that finds no input returns without an error."""
    if execution is not None and execution.execution_id is not None:
        with connection as handle:
            (found,) = handle.store.get_executions_by_id([execution.execution_id])
        if found.last_known_state == proto.Execution.CACHED:
            return "cached"
        if found.last_known_state == proto.Execution.COMPLETE:
            return "completed"
    raise RuntimeError("TFX found no input for it")


def _as_failure(error: Exception, *, node: str, engine: BeamEngine) -> InputError | NodeError:
    failure = explain(error, engine=engine) or NodeError(node=node)
    if failure is not error:
        failure.__cause__ = error
    return failure
