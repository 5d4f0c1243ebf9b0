"""One tick of unattended retraining: looks whether anything is new, runs if so, and notes what came of it."""

import dataclasses
from collections.abc import Callable, Iterator

from components.errors import InputError
from components.report.summary import Summary
from pipeline.beam.reaching import check_engine
from pipeline.config.experiment import Config
from pipeline.events import Event, RunFailed, RunFinished
from pipeline.local.run import running_checked
from pipeline.local.workspace import Workspace, locked
from pipeline.retraining.fingerprints import take_fingerprints
from pipeline.retraining.ledger import (
    Ledger,
    Tick,
    describe_news,
    judged,
    nothing_new_since,
    open_ledger,
    stopped,
)

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
    before = open_ledger(config, workspace).last_judged()
    new = describe_news(take_fingerprints(config), before=before)
    return f"It would train: {new}." if before is None or new else nothing_new_since(before)


def _carry_out(tick: Tick, config: Config, workspace: Workspace, *, ledger: Ledger, watch: Watch) -> Tick:
    """Returns the tick with what became of it."""
    try:
        fingerprints = take_fingerprints(config)
    except InputError as error:
        return stopped(tick, str(error))
    tick = dataclasses.replace(tick, **dataclasses.asdict(fingerprints))
    before = ledger.last_judged()
    if before is not None and before.fingerprints == fingerprints:
        return dataclasses.replace(tick, outcome="nothing new", reason=nothing_new_since(before))
    try:
        check_engine(config.beam)
        workspace.check()
    except InputError as error:
        return stopped(tick, str(error))
    with running_checked(config, workspace=workspace) as events:
        last = watch(events)
    match last:
        case RunFinished(summary) if summary is not None:
            return _judged(tick, summary, ledger=ledger)
        case RunFailed(message, is_input_error):
            if is_input_error:
                return stopped(tick, message)
            return dataclasses.replace(tick, outcome="failed", reason=message)
    raise AssertionError(f"a run ended with {last}")


def _judged(tick: Tick, summary: Summary, *, ledger: Ledger) -> Tick:
    """Returns a tick whose run came to a verdict, which may come from the cache."""
    pushed = summary.pushed_model and summary.pushed_model.rpartition("/")[2]
    tick = dataclasses.replace(tick, spans=tuple(map(str, summary.spans)))
    return judged(tick, summary, pushed=pushed, ledger=ledger)
