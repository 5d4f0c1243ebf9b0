"""Arguments and options that several commands share."""

import pathlib
from collections.abc import Sequence
from typing import Annotated

import typer

from pipeline.kubeflow.server.credentials import COOKIES_VARIABLE, TOKEN_VARIABLE

_SERVER = "Kubeflow server"

ConfigFile = Annotated[
    pathlib.Path, typer.Argument(metavar="CONFIG", help="The experiment, such as configs/digits.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Changes a key of the configuration, as in distillations.0.temperature=3. May be repeated.",
    ),
]
BeamEngine = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE",
        help="On what Beam runs: direct, flink, spark or dataflow.",
        show_default="the configuration's",
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE", help="The container image of the nodes.", show_default="the configuration's"
    ),
]
PipelineRoot = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Where the artifacts go, such as s3://bucket/path.",
        show_default="the configuration's",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="Overrides a parameter of the pipeline for its runs. May be repeated.",
    ),
]
ExperimentName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The Kubeflow experiment to which the runs belong.",
        show_default="the configuration's name",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="The Kubeflow Pipelines server, such as https://kubeflow.example.com/pipeline.",
        envvar="KF_PIPELINES_ENDPOINT",
        rich_help_panel=_SERVER,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Your namespace, on a multi-user server.", rich_help_panel=_SERVER),
]
TokenFile = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE",
        help=f"Holds a token, such as a service account's; {TOKEN_VARIABLE} may hold one too.",
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        rich_help_panel=_SERVER,
    ),
]
CookiesFile = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE",
        help=f"Holds cookies, NAME=VALUE; NAME=VALUE. {COOKIES_VARIABLE} may hold them too.",
        rich_help_panel=_SERVER,
    ),
]
CaFile = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE",
        help="Holds the certificates (PEM) of the authority that signed the server's.",
        rich_help_panel=_SERVER,
    ),
]


def choose_engine(engine: str | None) -> Sequence[str]:
    """Returns the override of the configuration by which Beam runs on an engine; none if none is given."""
    return [] if engine is None else [f"beam.engine={engine}"]
