"""One tick of unattended retraining: looks whether anything is new, runs if so, and notes what came of it."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from components.errors import InputError
from components.metrics import ACCURACY
from components.report.summary import Summary
from components.serving.versions import Versions
from pipeline.config.experiment import Config
from pipeline.events import Event, RunFailed, RunFinished
from pipeline.local.external_files import check_files
from pipeline.local.run import running_checked
from pipeline.local.workspace import Workspace, locked
from pipeline.retraining.fingerprints import take_fingerprints
from pipeline.retraining.ledger import Fingerprints, Ledger, Tick, open_ledger

Watch = Callable[[Iterator[Event]], Event | None]


def retrain(config: Config, *, workspace: Workspace, watch: Watch) -> tuple[list[Tick], list[Tick]]:
    """Does one tick, with the workspace to itself, and notes in the ledger what became of it.

    Args:
      config: The experiment.
      workspace: Where it runs; made if need be.
      watch: Takes the events of the run, if there is one, to their end, and returns the last.

    Returns:
      The ticks that were known to have ended before; and those that are now, of which this one is the last:
      the others are found to have been interrupted.

    Raises:
      InputError: The workspace or the ledger cannot be written.
      WorkspaceBusyError: Another run is using the workspace; nothing is noted.
    """
    with locked(workspace):
        ledger = open_ledger(config, workspace)
        earlier = [tick for tick in ledger.ticks() if tick.ended is not None]
        interrupted = ledger.close_interrupted()
        begun = ledger.begin()
        tick = ledger.end(_carry_out(begun, config, workspace, ledger=ledger, watch=watch))
        return earlier, [*interrupted, tick]


def foresee(config: Config, *, workspace: Workspace) -> str:
    """Says in a sentence what a tick would do; nothing is written, and no lock is taken.

    Raises:
      InputError: What would stop the tick.
    """
    return _describe(_look(config), before=open_ledger(config, workspace).last_judged())


def _look(config: Config) -> Fingerprints:
    """Looks at everything that a run needs from outside.

    Raises:
      InputError: Something is missing, or cannot be used.
    """
    try:
        check_files(config)
        return take_fingerprints(config)
    except OSError as error:  # Such as a network's file system that is gone for a while.
        raise InputError(
            f"data or the file of a model cannot be read ({error}); see to it that it can."
        ) from None


def _describe(now: Fingerprints, *, before: Tick | None) -> str:
    if before is None:
        return "It would train: no student has been judged here before."
    changed = now.changed_since(before.fingerprints)
    if changed:
        return f"It would train: {' and '.join(changed)} changed since {before.began}."
    return _nothing_new(before)


def _nothing_new(before: Tick) -> str:
    return f"Nothing new: data, code and configuration are those of {before.began}."


def _carry_out(tick: Tick, config: Config, workspace: Workspace, *, ledger: Ledger, watch: Watch) -> Tick:
    """Returns the tick with what became of it."""
    try:
        fingerprints = _look(config)
    except InputError as error:
        return dataclasses.replace(tick, outcome="stopped", reason=str(error))
    tick = dataclasses.replace(tick, **dataclasses.asdict(fingerprints))
    before = ledger.last_judged()
    if before is not None and before.fingerprints == fingerprints:
        return dataclasses.replace(tick, outcome="nothing new", reason=_nothing_new(before))
    try:
        workspace.database.check()
    except InputError as error:
        return dataclasses.replace(tick, outcome="stopped", reason=str(error))
    with running_checked(config, workspace=workspace) as events:
        last = watch(events)
    match last:
        case RunFinished(summary) if summary is not None:
            return _judged(tick, summary, versions=Versions(ledger.directory), ledger=ledger)
        case RunFailed(message, is_input_error):
            return dataclasses.replace(
                tick, outcome="stopped" if is_input_error else "failed", reason=message
            )
    raise AssertionError(f"a run ended with {last}")


def _on_reference(summary: Summary) -> float | None:
    """Returns the accuracy of the student that was judged on the reference images, if there are any."""
    if summary.reference is None:
        return None
    return summary.reference.models[summary.candidate].metric(ACCURACY)


def _judged(tick: Tick, summary: Summary, *, versions: Versions, ledger: Ledger) -> Tick:
    """Returns a tick whose run came to a verdict, which may come from the cache."""
    scratch = summary.models.get("scratch")
    tick = dataclasses.replace(
        tick,
        reason=summary.verdict,
        teacher=summary.teacher.metric(ACCURACY),
        scratch=scratch.metric(ACCURACY) if scratch else None,
        student=summary.student.metric(ACCURACY),
        student_on_reference=_on_reference(summary),
        spans=tuple(map(str, summary.spans)),
    )
    if summary.pushed_model is None:
        refused = [entry.version for entry in versions.history() if entry.event == "refused"]
        return dataclasses.replace(tick, outcome="refused", version=refused[-1] if refused else None)
    version = pathlib.Path(summary.pushed_model).name
    if any(version == earlier.version for earlier in ledger.ticks()):
        return dataclasses.replace(
            tick,
            outcome="nothing new",
            reason=f"All came from the cache: version {version} was pushed before.",
        )
    return dataclasses.replace(tick, outcome="pushed", version=version)
