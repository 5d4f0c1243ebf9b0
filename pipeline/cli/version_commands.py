"""The commands that tell and change which of the pushed students ships."""

import pathlib
from typing import Annotated

import typer

from components.errors import InputError
from components.files import write_text
from components.serving.versions import Entry, Versions, serving_config
from pipeline.cli.console import stdout
from pipeline.results.pushed import find_versions, to_json, to_table
from pipeline.results.workspace_files import latest_workspace

_Workspace = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="The workspace of a run, or the directory or URI that its students are pushed to.",
        show_default="the latest in ./runs",
    ),
]
_ServingConfig = Annotated[
    pathlib.Path | None,
    typer.Option(
        "--serving-config",
        metavar="FILE",
        help="Writes a configuration with which TensorFlow Serving serves that version, and no newer one.",
    ),
]


def history(
    workspace: _Workspace = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
    plot: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Draws their accuracy over time, as .svg, .png or .pdf."),
    ] = None,
) -> None:
    """Lists which students were pushed, refused, rolled back or promoted, and why."""
    versions = _open(workspace)
    if plot:
        from pipeline.results.history_plot import plot_history

        plot_history(versions, path=plot)
        typer.echo(f"Wrote {plot}.")
    elif as_json:
        typer.echo(to_json(versions))
    elif versions.history():
        stdout().print(to_table(versions))
    else:
        typer.echo(f"Nothing was pushed to {versions.directory} yet.")


def rollback(
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", show_default="the one that shipped before")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Is kept in the history.")] = "",
    workspace: _Workspace = None,
    serving: _ServingConfig = None,
) -> None:
    """Lets an earlier version ship again; later runs are compared with it."""
    versions = _open(workspace)
    before = versions.shipping()
    _tell(versions, versions.roll_back(to=to, reason=reason), before=before, serving=serving)


def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; is kept in the history.")],
    workspace: _Workspace = None,
    serving: _ServingConfig = None,
) -> None:
    """Lets a version ship that was refused, or that no longer ships."""
    if not reason.strip():
        raise InputError("--reason: is empty; say why, for those who read the history.")
    versions = _open(workspace)
    before = versions.shipping()
    _tell(versions, versions.promote(version, reason=reason), before=before, serving=serving)


def _open(workspace: str | None) -> Versions:
    return find_versions(workspace or latest_workspace(pathlib.Path("runs")))


def _tell(versions: Versions, entry: Entry, *, before: str | None, serving: pathlib.Path | None) -> None:
    typer.echo(f"Version {entry.version} ships" + (f", in the place of {before}." if before else "."))
    if serving:
        write_text(serving, serving_config(versions.directory, name="student", version=entry.version))
        typer.echo(f"Wrote {serving}.")
