"""What ML Metadata knows of the runs of a pipeline, read and removed by SQL: its API removes nothing.

The tables are those of one version of its schema, which is asked for first.
"""

import dataclasses
import datetime
from collections.abc import Iterable
from typing import Any, Protocol

from components.errors import InputError

_SCHEMA_VERSION = 10  # Of ml-metadata 1.17.
_DONE = (3, 5)  # Execution.COMPLETE and Execution.CACHED.

# The rows that tell of an execution, an artifact or a context, by the column that names it.
_ROWS_OF_EXECUTION = (
    "EventPath WHERE event_id IN (SELECT id FROM Event WHERE execution_id = {})",
    "Event WHERE execution_id = {}",
    "Association WHERE execution_id = {}",
    "ExecutionProperty WHERE execution_id = {}",
    "Execution WHERE id = {}",
)
_ROWS_OF_ARTIFACT = (
    "Attribution WHERE artifact_id = {}",
    "ArtifactProperty WHERE artifact_id = {}",
    "Artifact WHERE id = {}",
)
_ROWS_OF_CONTEXT = (
    "Attribution WHERE context_id = {}",
    "ParentContext WHERE context_id = {}",
    "ContextProperty WHERE context_id = {}",
    "Context WHERE id = {}",
)


class Connection(Protocol):
    """What is needed of a connection of Python's DB-API."""

    def cursor(self) -> Any:
        """Returns a cursor."""

    def commit(self) -> None:
        """Makes it last what was done."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of a pipeline.

    Attributes:
      id: As TFX calls it.
      context: The row that stands for it.
      began: When it did.
      finished: Whether its last node did.
    """

    id: str
    context: int
    began: datetime.datetime
    finished: bool


@dataclasses.dataclass(frozen=True)
class Traces:
    """What some runs alone have left: the ids of their executions, and of artifacts and contexts."""

    executions: frozenset[int]
    artifacts: frozenset[int]
    contexts: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Records:
    """The rows of ML Metadata.

    Attributes:
      connection: To the database.
      value: What stands for a value in a statement there.
      shrink: The statement that gives space back, if there need be one.
    """

    connection: Connection
    value: str
    shrink: str = ""

    def check_schema(self) -> None:
        """Raises InputError unless the tables are those that are known here."""
        versions = [version for (version,) in self._select("schema_version FROM MLMDEnv")]
        if versions != [_SCHEMA_VERSION]:
            raise InputError(
                f"The database of ML Metadata has schema version {', '.join(map(str, versions))}, but only "
                f"{_SCHEMA_VERSION} can be pruned; nothing is removed."
            )

    def runs(self, pipeline: str, *, last_node: str) -> list[Run]:
        """Returns the runs of a pipeline, the newest first.

        Args:
          pipeline: Its name.
          last_node: The id of the node without which a run has not finished.
        """
        rows = self._select(
            f"""run.name, run.id, run.create_time_since_epoch, EXISTS (
                SELECT 1 FROM Association of_run
                JOIN Execution ON Execution.id = of_run.execution_id
                JOIN Association of_node ON of_node.execution_id = Execution.id
                JOIN Context node ON node.id = of_node.context_id
                WHERE of_run.context_id = run.id AND node.name = {{}}
                AND Execution.last_known_state IN {_DONE}
            )
            FROM Context run
            JOIN ParentContext ON ParentContext.context_id = run.id
            JOIN Context pipeline ON pipeline.id = ParentContext.parent_context_id
            JOIN Type ON Type.id = pipeline.type_id
            WHERE Type.name = 'pipeline' AND pipeline.name = {{}}
            ORDER BY run.id DESC""",
            f"{pipeline}.{last_node}",
            pipeline,
        )
        return [
            Run(
                id=name,
                context=context,
                began=datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC),
                finished=bool(finished),
            )
            for name, context, milliseconds, finished in rows
        ]

    def traces_of(self, runs: Iterable[Run]) -> Traces:
        """Returns what some runs alone have left: no other has used it or taken it from the cache."""
        contexts = {run.context for run in runs}
        executions = {
            execution
            for context in contexts
            for execution in self._ids("execution_id FROM Association WHERE context_id = {}", context)
        }
        artifacts = {
            artifact
            for execution in executions
            for artifact in self._ids("artifact_id FROM Event WHERE execution_id = {}", execution)
            if self._ids("execution_id FROM Event WHERE artifact_id = {}", artifact) <= executions
        }
        contexts |= {
            context
            for execution in executions
            for context in self._ids(
                "context_id FROM Association JOIN Context ON Context.id = context_id JOIN Type ON Type.id = "
                "type_id WHERE Type.name = 'execution_cache' AND execution_id = {}",
                execution,
            )
            if self._ids("execution_id FROM Association WHERE context_id = {}", context) <= executions
        }
        return Traces(frozenset(executions), frozenset(artifacts), frozenset(contexts))

    def remove(self, traces: Traces) -> None:
        """Removes rows, all or none."""
        cursor = self.connection.cursor()
        for rows, ids in (
            (_ROWS_OF_EXECUTION, traces.executions),
            (_ROWS_OF_ARTIFACT, traces.artifacts),
            (_ROWS_OF_CONTEXT, traces.contexts),
        ):
            for each in rows:
                cursor.executemany(f"DELETE FROM {each.format(self.value)}", [(id_,) for id_ in sorted(ids)])
        self.connection.commit()

    def give_space_back(self) -> None:
        """Makes the database smaller by what was removed, if it does not use that space again by itself."""
        if self.shrink:
            self.connection.cursor().execute(self.shrink)

    def artifact_uris(self) -> dict[int, str]:
        """Returns where each artifact lies, by its id."""
        return dict(self._select("id, uri FROM Artifact"))

    def executions(self) -> set[int]:
        """Returns the ids of all executions."""
        return self._ids("id FROM Execution")

    def _ids(self, what: str, *values: int) -> set[int]:
        return {id_ for (id_,) in self._select(what, *values)}

    def _select(self, what: str, *values: object) -> list[Any]:
        cursor = self.connection.cursor()
        cursor.execute(f"SELECT {what.replace('{}', self.value)}", values)
        return list(cursor.fetchall())
