"""The command that a schedule calls: one tick of unattended retraining."""

import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from components.errors import InputError
from components.serving.versions import Versions
from pipeline.cli.console import complain, stdout, warn
from pipeline.cli.exit_codes import BUSY, FAILURE, NOT_BLESSED, STOPPED
from pipeline.cli.options import BeamEngine, ConfigFile, Overrides, choose_engine
from pipeline.cli.prune_command import prune_after_run
from pipeline.cli.screen import print_line, print_result, shown
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config
from pipeline.events import Event, RunFinished
from pipeline.local.workspace import Workspace, WorkspaceBusyError, open_workspace
from pipeline.retraining.ledger import Tick
from pipeline.retraining.textfile import write_metrics
from pipeline.retraining.webhook import Webhook, WebhookError, messages, open_webhook

_EXIT_CODES = {"pushed": 0, "nothing new": 0, "refused": NOT_BLESSED, "stopped": STOPPED, "failed": FAILURE}


def retrain(
    config: ConfigFile,
    workspace: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DIR", help="Where all outputs of the runs go.", show_default="./runs/NAME"),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Which span of the data is the newest, such as 2026-01-03.",
            show_default="the newest there is",
        ),
    ] = None,
    overrides: Overrides = None,
    beam: BeamEngine = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Says what it would do; nothing is run or written.")
    ] = False,
) -> None:
    """Runs an experiment on this machine if anything is new: what a schedule calls.

    Exit codes: 0 pushed or nothing new, 3 refused, 4 stopped by its data, 75 another run goes on, 1 failed.
    """
    from pipeline.retraining import tick as ticking

    spans = [] if span is None else [f"data.span={span}"]
    experiment = load_config(config, overrides=[*(overrides or ()), *spans, *choose_engine(beam)])
    place = open_workspace(experiment, directory=workspace, environment=os.environ)
    webhook = open_webhook(experiment.notify, environment=os.environ)
    if dry_run:
        raise typer.Exit(_foresee(experiment, place))
    try:
        earlier, ended = ticking.retrain(
            experiment, workspace=place, watch=functools.partial(_watch, experiment, place)
        )
    except WorkspaceBusyError as error:
        raise typer.Exit(complain(str(error), code=BUSY)) from None
    if experiment.notify.prometheus:
        versions = Versions(place.push_directory(experiment))
        _publish(pathlib.Path(experiment.notify.prometheus), [*earlier, *ended], versions=versions)
    if webhook:
        _send(webhook, messages(ended, earlier=earlier, no_push_days=experiment.notify.no_push_days))
    prune_after_run(experiment, place)
    raise typer.Exit(_tell(ended))


def _foresee(config: Config, workspace: Workspace) -> int:
    from pipeline.retraining.tick import foresee

    try:
        print_line(stdout(), foresee(config, workspace=workspace))
    except InputError as error:
        return complain(f"It would stop: {error}", code=STOPPED)
    return 0


def _watch(config: Config, workspace: Workspace, events: Iterator[Event]) -> Event | None:
    """Shows a run, and what came of it."""
    event = None
    with shown(stdout(), nodes=config.node_ids) as show:
        for event in events:
            show(event)
    if isinstance(event, RunFinished) and event.summary is not None:
        print_result(stdout(), event.summary, workspace=workspace.directory)
    return event


def _publish(path: pathlib.Path, ticks: Sequence[Tick], *, versions: Versions) -> None:
    """Writes the metrics; that they cannot be written fails no tick."""
    try:
        write_metrics(path, ticks=ticks, versions=versions)
    except OSError as error:
        warn(f"notify.prometheus: {path} cannot be written ({error.strerror})")
    except InputError as error:  # From an object store that cannot be asked what ships.
        warn(f"notify.prometheus: {error}")


def _send(webhook: Webhook, found: Iterator[dict[str, Any]]) -> None:
    """Sends messages; that they do not arrive fails no tick."""
    for message in found:
        try:
            webhook.send(message)
        except WebhookError as error:
            warn(f"notify.webhook: {error}; the message on {message['event']!r} is lost")


def _tell(ended: Sequence[Tick]) -> int:
    """Prints what a run has not printed itself; returns the exit code."""
    *interrupted, tick = ended
    for each in interrupted:
        print_line(stdout(), f"The run that began {each.began} was interrupted, which is noted now.")
    code = _EXIT_CODES[str(tick.outcome)]
    if tick.outcome == "nothing new":
        print_line(stdout(), tick.reason)
    elif code in (FAILURE, STOPPED):
        complain(tick.reason, code=code)
    return code
