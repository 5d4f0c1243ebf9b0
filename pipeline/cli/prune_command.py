"""The command that removes what old runs have left, as every run does at its end."""

import os
import pathlib
from typing import Annotated

import typer

from components.errors import InputError
from components.report.wording import file_size
from pipeline.cli.console import complain, warn
from pipeline.cli.exit_codes import BUSY
from pipeline.cli.options import ConfigFile, Overrides
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config
from pipeline.local.retention import Pruned
from pipeline.local.retention import prune as prune_workspace
from pipeline.local.workspace import Workspace, WorkspaceBusyError, open_workspace


def prune(
    config: ConfigFile,
    workspace: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DIR", help="Where the runs' outputs are.", show_default="./runs/NAME"),
    ] = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Says what it would remove; nothing is removed.")
    ] = False,
) -> None:
    """Removes artifacts and metadata of old runs, as `retention` says; never of what ships."""
    experiment = load_config(config, overrides=overrides or ())
    place = open_workspace(experiment, directory=workspace, environment=os.environ)
    try:
        pruned = prune_workspace(experiment, workspace=place, dry_run=dry_run)
    except WorkspaceBusyError as error:
        raise typer.Exit(complain(str(error), code=BUSY)) from None
    if not pruned.runs_left:
        raise InputError(f"{place.directory} holds no run of {experiment.name!r}; give its --workspace.")
    typer.echo(_describe(pruned, verb="Would remove" if dry_run else "Removed"))


def prune_after_run(config: Config, workspace: Workspace) -> None:
    """Removes what is old by now; that it cannot be removed fails no run."""
    try:
        prune_workspace(config, workspace=workspace)
    except WorkspaceBusyError:
        pass  # The run that has begun meanwhile does it at its end.
    except (InputError, OSError) as error:
        warn(f"retention: {error}")


def _describe(pruned: Pruned, *, verb: str) -> str:
    if not pruned.runs and not pruned.size_bytes:
        return f"Nothing to remove: {_count(pruned.runs_left)} left."
    size = file_size(pruned.size_bytes)
    return f"{verb} {_count(pruned.runs)} and {size} of artifacts; {_count(pruned.runs_left)} left."


def _count(runs: int) -> str:
    return f"{runs} {'run' if runs == 1 else 'runs'}"
