"""The command line. Heavy modules are imported by the command that needs them, once its input is checked."""

import enum
import importlib.metadata
import os
import pathlib
import sys
import webbrowser
from typing import Annotated

import typer
from typer.exceptions import TyperException

from components.errors import InputError
from pipeline.cli import init_command, prune_command, retrain_command, server_commands, version_commands
from pipeline.cli.console import complain, stdout
from pipeline.cli.exit_codes import FAILURE, NOT_BLESSED, USAGE_ERROR
from pipeline.cli.options import BeamEngine, ConfigFile, Image, Overrides, PipelineRoot, choose_engine
from pipeline.events import Event, RunFailed, RunFinished
from pipeline.kubeflow.server.connection import ServerError
from pipeline.silence import silenced

_PACKAGE = "distillation-pipeline"
_INTERRUPTED = "interrupted; run the same command again to go on from the nodes that finished"

app = typer.Typer(
    help="Distil image classifiers: from images to a small student, compared with its teacher.",
    add_completion=False,
    no_args_is_help=True,
)


class Orchestrator(enum.StrEnum):
    """Which of TFX's runners walks the graph."""

    LOCAL = "local"
    BEAM = "beam"


def main() -> None:
    """Runs the command line and exits with 0, or one of `pipeline.cli.exit_codes`."""
    _make_neighbours_importable()
    try:
        code = typer.main.get_command(app)(prog_name="distill", standalone_mode=False)
    except TyperException as error:
        code = _complain_of_usage(error)
    except InputError as error:
        code = complain(str(error), code=USAGE_ERROR)
    except ServerError as error:
        code = complain(str(error), code=FAILURE)
    except typer.Abort:
        code = complain("interrupted", code=FAILURE)
    sys.exit(code)


def _make_neighbours_importable() -> None:
    """Lets architectures be found beside the user, but nothing there hide this package from children."""
    sys.path[:0] = [str(pathlib.Path(__file__).parents[2]), str(pathlib.Path.cwd())]


def _complain_of_usage(error: TyperException) -> int:
    message = error.format_message().rstrip(".")
    if not message:  # The help was printed, for want of a command.
        return USAGE_ERROR
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "distill"
    return complain(f"{message}; see {command} --help", code=error.exit_code)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"distill {importlib.metadata.version(_PACKAGE)}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Prints the version."),
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


@app.command()
def run(
    config: ConfigFile,
    workspace: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DIR", help="Where all outputs of the run go.", show_default="./runs/NAME"),
    ] = None,
    orchestrator: Annotated[
        Orchestrator, typer.Option(help="Which of TFX's runners walks the graph.")
    ] = Orchestrator.LOCAL,
    overrides: Overrides = None,
    beam: BeamEngine = None,
    beam_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            help="An option for Beam, as in --beam-arg=--direct_num_workers=2. May be repeated.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Prints only the result.")] = False,
    require_blessing: Annotated[
        bool, typer.Option("--require-blessing", help=f"Exits with {NOT_BLESSED} if no student is blessed.")
    ] = False,
) -> None:
    """Runs an experiment on this machine."""
    from pipeline.cli.screen import print_result, shown
    from pipeline.config.beam import with_options
    from pipeline.config.loading import load_config
    from pipeline.local.run import running
    from pipeline.local.workspace import open_workspace

    experiment = load_config(config, overrides=[*(overrides or ()), *choose_engine(beam)])
    experiment = experiment.model_copy(update={"beam": with_options(experiment.beam, beam_arg or ())})
    place = open_workspace(experiment, directory=workspace, environment=os.environ)
    console = stdout()
    outcome: Event | None = None
    try:
        with (
            running(experiment, workspace=place, orchestrator=orchestrator.value) as events,
            shown(console, nodes=experiment.node_ids, quiet=quiet) as show,
        ):
            for outcome in events:
                show(outcome)
    except KeyboardInterrupt:
        outcome = RunFailed(_INTERRUPTED, is_input_error=False)
    prune_command.prune_after_run(experiment, place)
    match outcome:
        case RunFailed(message):
            raise typer.Exit(complain(message, code=FAILURE))
        case RunFinished(summary) if summary is not None:
            print_result(console, summary, workspace=place.directory)
            if require_blessing and not summary.blessed:
                raise typer.Exit(NOT_BLESSED)


@app.command("compile")
def compile_(
    config: ConfigFile,
    output: Annotated[pathlib.Path, typer.Option(metavar="FILE", help="The YAML file to write.")],
    image: Image = None,
    pipeline_root: PipelineRoot = None,
    overrides: Overrides = None,
) -> None:
    """Writes the pipeline as a file for Kubeflow Pipelines."""
    from pipeline.config.loading import load_config

    experiment = load_config(config, overrides=overrides or ())
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise InputError(
            f"--output {output}: cannot be written; give a file in a directory that you can write."
        )
    with silenced():
        from pipeline.kubeflow.compiler import compile_pipeline

        compile_pipeline(experiment, output=output, image=image, pipeline_root=pipeline_root)
    typer.echo(f"Wrote {output}.")


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="SERVED_MODEL_DIR",
            help="A pushed model, such as runs/digits/pushed or s3://bucket/students.",
        ),
    ],
    images: Annotated[list[pathlib.Path], typer.Argument(metavar="IMAGE", help="JPEG or PNG files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
) -> None:
    """Classifies images with a student that a run has pushed."""
    from pipeline.local import predict as prediction

    predictions = prediction.predict(images, model=model)
    if as_json:
        typer.echo(prediction.to_json(predictions))
    else:
        stdout().print(prediction.to_table(predictions))


@app.command()
def report(
    workspace: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DIR", help="The run's workspace.", show_default="the latest in ./runs"),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Opens the page in a browser.")] = False,
) -> None:
    """Writes the report of a finished run again, without running anything."""
    from pipeline.results.workspace_files import latest_workspace, read_summary, write_report

    place = workspace or latest_workspace(pathlib.Path("runs"))
    page = write_report(read_summary(place), workspace=place)
    typer.echo(f"Wrote {page}.")
    if open_ and not webbrowser.open(page.absolute().as_uri()):
        raise typer.Exit(complain(f"no browser was found; open {page} yourself", code=FAILURE))


@app.command()
def compare(
    workspaces: Annotated[
        list[pathlib.Path], typer.Argument(metavar="WORKSPACE", help="Workspaces of finished runs.")
    ],
    output: Annotated[
        pathlib.Path, typer.Option(metavar="FILE", help="The HTML page to write.")
    ] = pathlib.Path("comparison.html"),
) -> None:
    """Compares finished runs side by side."""
    from pipeline.results.compare import read_runs, to_tables, write_comparison

    runs = read_runs(workspaces)
    write_comparison(runs, output=output)
    stdout().print(to_tables(runs))
    typer.echo(f"Wrote {output}.")


app.command()(init_command.init)
app.command()(retrain_command.retrain)
app.command()(prune_command.prune)
app.command()(version_commands.history)
app.command()(version_commands.rollback)
app.command()(version_commands.promote)
app.command()(server_commands.upload)
app.command()(server_commands.submit)
app.command()(server_commands.schedule)
app.command("schedules")(server_commands.list_schedules)
app.command()(server_commands.unschedule)
