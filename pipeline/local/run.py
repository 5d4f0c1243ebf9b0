"""Runs the graph on this machine, in a workspace."""

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from components import tfx_patches
from components.errors import InputError
from components.example_gen.registry import open_source
from components.files import sha256
from components.models import registry
from components.pretrained import model_files as files
from components.settings.models import FineTunedTeacher, PretrainedTeacher, Teacher
from pipeline import beam
from pipeline.config.experiment import Config
from pipeline.events import Event, Report
from pipeline.local.background import Task, run_in_background
from pipeline.results.workspace_files import read_summary

Runner = Literal["local", "beam"]


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The directory of a run: its metadata, artifacts, log, summary, report and pushed models."""

    directory: pathlib.Path

    @property
    def log(self) -> pathlib.Path:
        """The file that receives what TFX, Beam and TensorFlow print."""
        return self.directory / "run.log"

    @property
    def pushed(self) -> pathlib.Path:
        """Where a blessed student goes unless the configuration says otherwise."""
        return self.directory / "pushed"


@contextlib.contextmanager
def running(
    config: Config, *, workspace: Workspace, runner: Runner = "local", beam_args: Sequence[str] = ()
) -> Iterator[Iterator[Event]]:
    """Runs an experiment in a process of its own, which ends with the context at the latest.

    Args:
      config: The experiment.
      workspace: Where its outputs and its log go; made if need be, and locked while the run goes on.
      runner: Which of TFX's runners walks the graph.
      beam_args: Options for the Beam pipelines of the nodes.

    Yields:
      The events of the nodes as they come, then `RunFinished` or `RunFailed`.

    Raises:
      InputError: The data, the file of a teacher or the workspace cannot be used.
    """
    open_source(config.data).check()
    _check_teachers(config)
    task = functools.partial(
        run_graph, config=config, workspace=workspace, runner=runner, beam_args=tuple(beam_args)
    )
    with running_in(workspace, task=task, title=f"{config.name} with the {runner} runner") as events:
        yield events


@contextlib.contextmanager
def running_in(workspace: Workspace, *, task: Task, title: str) -> Iterator[Iterator[Event]]:
    """Runs a task in a process of its own, with a workspace to itself.

    Args:
      workspace: Where its log goes; made if need be, and locked while the task runs.
      task: A picklable function that reports events and returns the summary of the run.
      title: What runs, for the log.

    Yields:
      The events of the task as they come, then `RunFinished` or `RunFailed`.

    Raises:
      InputError: The workspace cannot be written, or another run is using it.
    """
    with _locked(workspace):
        with workspace.log.open("a", encoding="utf-8") as log:
            log.write(f"\n==== {datetime.datetime.now():%Y-%m-%d %H:%M:%S} {title}\n")
        with contextlib.closing(run_in_background(task, log=workspace.log)) as events:
            yield events


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    directory = workspace.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        workspace.log.touch()
        lock = (directory / ".lock").open("w")
    except OSError as error:
        reason = "it is a file" if directory.is_file() else error.strerror
        raise InputError(
            f"The workspace {directory} cannot be written ({reason}); choose another with --workspace."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"Another run is using the workspace {directory}; wait for it, or choose another "
                "with --workspace."
            ) from None
        yield


def run_graph(
    report: Report, *, config: Config, workspace: Workspace, runner: Runner, beam_args: Sequence[str]
) -> dict[str, Any]:
    """Builds the graph, runs it in this process, and writes the summary. Imports TFX.

    Args:
      report: Receives the events of the nodes.
      config: The experiment.
      workspace: Where its outputs go.
      runner: Which of TFX's runners walks the graph.
      beam_args: Options for the Beam pipelines of the nodes.

    Returns:
      The summary of the run.

    Raises:
      InputError: The user's data or models cannot be used.
      NodeError: A node failed.
    """
    from components.training.threads import set_threads_per_operation
    from pipeline import graph
    from pipeline.config import hints
    from pipeline.results import collecting as summary

    set_threads_per_operation(config.image.shape)
    hints.check_hints(config)
    directory = workspace.directory.absolute()
    push_directory = pathlib.Path(config.push.directory or workspace.pushed).absolute()
    fingerprints = _fingerprints(config)
    fingerprints["incumbent"] = _choose_incumbent(
        config, workspace=workspace, push_directory=push_directory, fingerprints=fingerprints
    )
    create_pipeline = functools.partial(
        graph.create_pipeline,
        config,
        root=str(directory / "artifacts"),
        metadata_path=str(directory / "metadata.sqlite"),
        push_directory=str(push_directory),
        fingerprints=fingerprints,
        beam_args=(*beam.ARGS, *beam_args),
    )
    nodes = run_pipeline(create_pipeline, runner=runner, report=report)
    return summary.write_summary(
        config, workspace=workspace.directory, nodes=nodes, fingerprints=fingerprints
    )


def run_pipeline(
    create_pipeline: Callable[[], Any], *, runner: Runner, report: Report
) -> dict[str, dict[str, Any]]:
    """Runs a TFX pipeline in this process. Imports TFX.

    Args:
      create_pipeline: Builds the `tfx.dsl.Pipeline`.
      runner: Which of TFX's runners walks the graph.
      report: Receives the events of the nodes.

    Returns:
      `{id: {"state": "completed" | "cached", "seconds": float}}` for each node.

    Raises:
      InputError: The user's data or models cannot be used.
      NodeError: A node failed.
    """
    from absl import logging
    from tfx.orchestration.beam import beam_dag_runner
    from tfx.orchestration.local import local_dag_runner

    from pipeline.local import observer

    logging.set_verbosity(logging.INFO)
    runners = {"local": local_dag_runner.LocalDagRunner, "beam": beam_dag_runner.BeamDagRunner}
    pipeline = create_pipeline()
    with tfx_patches.direct_runner(), tfx_patches.no_packing(), observer.observed(report) as watched:
        try:
            runners[runner]().run(pipeline)
        except Exception:
            if watched.failure is None:
                raise
            raise watched.failure  # noqa: B904
    return watched.nodes


def _check_teachers(config: Config) -> None:
    """Raises InputError if a file that a teacher is made of is not there."""
    for teacher in config.teachers.values():
        match teacher:
            case PretrainedTeacher(path=path):
                files.find_model(path)
            case FineTunedTeacher(weights=str(path)):
                files.check_weights(path)


def _fingerprint_teacher(teacher: Teacher) -> str:
    match teacher:
        case PretrainedTeacher(path=path):
            return files.fingerprint(path)
        case FineTunedTeacher(weights=str(path)):
            return f"{sha256(registry.source_file(teacher.architecture))} {files.fingerprint(path)}"
        case _:
            return sha256(registry.source_file(teacher.architecture))


def _fingerprints(config: Config) -> dict[str, str]:
    """What decides, beside the configuration, whether an earlier result still holds."""
    return {
        "data": open_source(config.data).fingerprint(),
        **{node.lower(): _fingerprint_teacher(teacher) for node, teacher in config.teachers.items()},
        "student": sha256(registry.source_file(config.student.architecture)),
    }


def _choose_incumbent(
    config: Config,
    *,
    workspace: Workspace,
    push_directory: pathlib.Path,
    fingerprints: Mapping[str, str],
) -> str:
    """Returns the version of the student that a new one has to stand up to, or `none`.

    It is the one that was pushed last, unless this very experiment pushed it in the run before: then
    nothing is new, what it was compared with then still counts, and the evaluation comes from the cache.
    """
    from components.evaluator.incumbent import NO_INCUMBENT, newest_version

    newest = newest_version(push_directory)
    if newest is None:
        return NO_INCUMBENT
    try:
        previous = read_summary(workspace.directory)
    except InputError:  # The first run here, or one that left nothing to go by.
        return newest
    before = previous.get("fingerprints", {})
    is_repeated = (
        previous.get("configuration") == config.model_dump(mode="json")
        and {name: before.get(name) for name in fingerprints} == fingerprints
        and previous.get("pushed_model") == str(push_directory / newest)
    )
    return before.get("incumbent", newest) if is_repeated else newest
