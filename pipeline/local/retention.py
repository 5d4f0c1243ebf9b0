"""What a workspace keeps of earlier runs: never removed is what ships, or what the next run may need."""

import dataclasses
import datetime
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from components.errors import InputError
from components.files import write_text
from components.layout import KEPT_SHARDS_DIRECTORY
from components.serving.versions import Versions
from components.storage.files import folder_names, remove, size_of
from components.storage.uri import join
from pipeline.config.experiment import Config
from pipeline.config.retention import RetentionSettings
from pipeline.local.workspace import LOG_HEADING, Workspace, locked
from pipeline.metadata.records import Run

# Where TFX keeps what it passes to an executor, beside the outputs of a node.
_ATTEMPTS = (".system", "executor_execution")


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
      runs: How many runs.
      runs_left: How many are left: none only if the experiment never ran there.
      size_bytes: Of the artifacts.
    """

    runs: int = 0
    runs_left: int = 0
    size_bytes: int = 0


def prune(config: Config, *, workspace: Workspace, dry_run: bool = False) -> Pruned:
    """Removes the artifacts and the metadata of old runs, as `retention` says, with the workspace to itself.

    What is known of them is forgotten first, at once. So nothing is ever taken from the cache of which a part
    is gone, and what a kill leaves over is no run's, and goes the next time.

    Args:
      config: The experiment whose runs they are.
      workspace: Where they ran.
      dry_run: Removes nothing.

    Raises:
      InputError: The metadata or the artifacts cannot be read, or not be removed.
      WorkspaceBusyError: A run is using the workspace.
    """
    if not workspace.has_artifacts:
        return Pruned()
    with locked(workspace), workspace.database.records() as records:
        records.check_schema()
        runs = records.runs(workspace.pipeline_name(config), last_node=config.node_ids[-1])
        if not runs:
            return Pruned()
        needed = Versions(workspace.push_directory(config)).runs_needed()
        old = _old(runs, config.retention, needed=needed)
        traces = records.traces_of(old)
        uris = [uri for id_, uri in records.artifact_uris().items() if id_ not in traces.artifacts]
        executions = records.executions() - traces.executions
        unknown = list(_unknown(workspace.artifacts, uris=uris, executions=executions))
        if runs[0].finished:  # Else it goes on from there.
            unknown += _kept_shards(workspace.artifacts)
        pruned = Pruned(len(old), len(runs) - len(old), sum(map(size_of, unknown)))
        if dry_run:
            return pruned
        if old:
            records.remove(traces)
        for directory in unknown:
            _remove(directory)
        if old:
            records.give_space_back()
        _shorten_log(workspace.log, runs=config.retention.runs)
        return pruned


def _old(runs: Sequence[Run], retention: RetentionSettings, *, needed: set[str]) -> list[Run]:
    """Returns the runs that nobody needs.

    Args:
      runs: All, the newest first.
      retention: How many stay, and for how long. The newest always does, which may go on from where it was
        interrupted, and the newest that finished, from whose artifacts the next takes what is the same.
      needed: The ids of those that stay beside them.
    """
    newest = {runs[0].id, *[run.id for run in runs if run.finished][:1]}
    kept = runs[: retention.runs]
    if retention.days is not None:
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=retention.days)
        kept = [run for run in kept if run.began >= since]
    stay = newest | needed | {run.id for run in kept}
    return [run for run in runs if run.id not in stay]


def _unknown(artifacts: str, *, uris: Iterable[str], executions: set[int]) -> Iterator[str]:
    """Finds the directories of executions that ML Metadata does not know, or that failed.

    They are known by their last parts, `NODE/OUTPUT/EXECUTION`, whose number no other execution ever has: so
    a workspace may have been moved.
    """
    known = {_place(pathlib.PurePath(uri)) for uri in uris}
    for node in folder_names(artifacts):
        for output in folder_names(join(artifacts, node)):
            if output.startswith("."):  # Such as checkpoints.
                continue
            for name in folder_names(join(artifacts, node, output)):
                if name.isdecimal() and (node, output, name) not in known:
                    yield join(artifacts, node, output, name)
        attempts = join(artifacts, node, *_ATTEMPTS)
        for name in folder_names(attempts):
            if name.isdecimal() and int(name) not in executions:
                yield join(attempts, name)


def _kept_shards(artifacts: str) -> Iterator[str]:
    """Finds what attempts that were given up have left for the next, which came to its end without it."""
    for node in folder_names(artifacts):
        if KEPT_SHARDS_DIRECTORY in folder_names(join(artifacts, node)):
            yield join(artifacts, node, KEPT_SHARDS_DIRECTORY)


def _place(path: pathlib.PurePath) -> tuple[str, ...]:
    """Returns the node, the output and the execution; the artifact may be a file in that directory."""
    return (path if path.name.isdecimal() else path.parent).parts[-3:]


def _remove(directory: str) -> None:
    try:
        remove(directory)
    except OSError as error:
        raise InputError(f"{directory} cannot be removed ({error.strerror}).") from None


def _shorten_log(log: pathlib.Path, *, runs: int | None) -> None:
    """Leaves the last runs in the log."""
    _, *told = log.read_text(encoding="utf-8", errors="replace").split(LOG_HEADING)
    if runs is not None and len(told) > runs:
        write_text(log, "".join(f"{LOG_HEADING}{each}" for each in told[-runs:]))
