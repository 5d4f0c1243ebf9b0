"""The commands that talk to a Kubeflow Pipelines server.

What the user gave is checked first, then whether the server is there, and only then the pipeline is compiled,
which takes half a minute.
"""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from components.errors import InputError
from pipeline.cli.console import stdout
from pipeline.cli.options import (
    CaFile,
    ConfigFile,
    CookiesFile,
    ExperimentName,
    Host,
    Image,
    Namespace,
    Overrides,
    Parameters,
    PipelineRoot,
    TokenFile,
)
from pipeline.cli.screen import print_line, shown
from pipeline.config.experiment import Config
from pipeline.config.kubeflow import override
from pipeline.config.loading import load_config
from pipeline.events import Event, RunFailed
from pipeline.kubeflow.run_parameters import UNFILLED, run_parameters
from pipeline.kubeflow.server import schedules
from pipeline.kubeflow.server import versions as pipelines
from pipeline.kubeflow.server.assignments import Value, parse_parameters
from pipeline.kubeflow.server.connection import Patience, Server, ServerError, check_host, connect
from pipeline.kubeflow.server.credentials import Credentials, read_credentials
from pipeline.kubeflow.server.cron import describe_time, next_runs, parse_cron
from pipeline.kubeflow.server.following import follow, read_result
from pipeline.silence import silenced

_RUNS_SHOWN = 3
_FIELDS = 6
_SECONDS_BETWEEN_LOOKS = 5.0

PATIENCE = Patience()


@dataclasses.dataclass(frozen=True)
class _Access:
    """A server and the credentials for it, checked as far as this machine can tell."""

    host: str
    namespace: str | None
    credentials: Credentials

    def connect(self) -> Server:
        return connect(self.host, credentials=self.credentials, namespace=self.namespace, patience=PATIENCE)


def upload(
    config: ConfigFile,
    host: Host,
    image: Image = None,
    overrides: Overrides = None,
    namespace: Namespace = None,
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
) -> None:
    """Puts a version of the pipeline on a Kubeflow server, named by its content."""
    access = _access(host, namespace, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file)
    experiment = load_config(config, overrides=overrides or ())
    server = access.connect()
    version = _upload(server, experiment, image=image)
    print_line(stdout(), server.page(version.page))


def submit(
    config: ConfigFile,
    host: Host,
    experiment: ExperimentName = None,
    param: Parameters = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follows the run; exits with 1 if it does not succeed.")
    ] = False,
    image: Image = None,
    pipeline_root: PipelineRoot = None,
    overrides: Overrides = None,
    namespace: Namespace = None,
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
) -> None:
    """Runs an experiment on a Kubeflow server."""
    access = _access(host, namespace, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file)
    settings = load_config(config, overrides=overrides or ())
    parameters = _parameters(settings, param)
    root = override(
        settings.kubeflow, image=image, pipeline_root=pipeline_root or settings.kubeflow_root
    ).pipeline_root
    server = access.connect()
    version = _upload(server, settings, image=image, pipeline_root=pipeline_root)
    run = pipelines.start_run(
        server,
        version=version,
        experiment_id=pipelines.experiment_id(server, experiment or settings.name),
        parameters=parameters,
        pipeline_root=root,
        service_account=settings.kubeflow.service_account,
    )
    print_line(stdout(), f"Run {run.display_name}: {server.page(f'runs/details/{run.run_id}')}")
    if wait:
        _follow(server, run, nodes=settings.kubeflow_node_ids)


def schedule(
    config: ConfigFile,
    host: Host,
    cron: Annotated[
        str,
        typer.Option(
            metavar="CRON",
            help="When, in UTC: minute, hour, day, month, weekday; or with seconds before them.",
        ),
    ],
    max_concurrency: Annotated[
        int, typer.Option(min=1, max=10, help="How many of its runs may go on at the same time.")
    ] = 1,
    catch_up: Annotated[
        bool,
        typer.Option(
            "--catch-up/--no-catchup",
            help="Whether to make up for runs that fell due while none could start.",
        ),
    ] = False,
    experiment: ExperimentName = None,
    param: Parameters = None,
    image: Image = None,
    pipeline_root: PipelineRoot = None,
    overrides: Overrides = None,
    namespace: Namespace = None,
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
) -> None:
    """Runs an experiment on a schedule on a Kubeflow server; replaces its previous schedule."""
    now = datetime.datetime.now(datetime.UTC)
    expression = parse_cron(cron, now=now)
    access = _access(host, namespace, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file)
    settings = load_config(config, overrides=overrides or ())
    parameters = _parameters(settings, param)
    _refuse_unfilled(
        {parameter.name: parameter.default for parameter in run_parameters(settings)} | parameters
    )
    root = override(
        settings.kubeflow, image=image, pipeline_root=pipeline_root or settings.kubeflow_root
    ).pipeline_root
    server = access.connect()
    version = _upload(server, settings, image=image, pipeline_root=pipeline_root)
    made, older = schedules.put_schedule(
        server,
        schedules.Schedule(
            name=settings.name,
            version=version,
            cron=expression,
            max_concurrency=max_concurrency,
            catches_up=catch_up,
            parameters=parameters,
            experiment_id=pipelines.experiment_id(server, experiment or settings.name),
            pipeline_root=root,
            service_account=settings.kubeflow.service_account,
        ),
    )
    console = stdout()
    page = server.page(f"recurringrun/details/{made.recurring_run_id}")
    print_line(console, f"Schedule {settings.name}: {page}")
    if older:
        print_line(console, f"Disabled {_count(older, 'older schedule')} of that name.")
    print_line(console, f"It runs at {expression!r}, seconds first, in UTC. Next, in your time zone:")
    for moment in next_runs(expression, after=now, count=_RUNS_SHOWN):
        print_line(console, f"  {describe_time(moment.astimezone(), now=now)}")


def list_schedules(
    host: Host,
    namespace: Namespace = None,
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
) -> None:
    """Lists the schedules on a Kubeflow server."""
    access = _access(host, namespace, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file)
    found = schedules.list_schedules(access.connect())
    if not found:
        print_line(stdout(), "There are no schedules.")
        return
    table = Table(
        "name", "state", "times (UTC)", "next", "runs", box=box.SIMPLE, pad_edge=False, show_edge=False
    )
    for column in table.columns:
        column.overflow = "fold"
    now = datetime.datetime.now(datetime.UTC)
    for each in sorted(found, key=lambda each: (each.display_name, not schedules.is_enabled(each))):
        table.add_row(*_describe_schedule(each, now=now))
    stdout().print(table)


def unschedule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The schedule, as distill schedules names it.")],
    host: Host,
    namespace: Namespace = None,
    token_file: TokenFile = None,
    cookies_file: CookiesFile = None,
    ca_file: CaFile = None,
) -> None:
    """Disables a schedule on a Kubeflow server; runs that go on are left alone."""
    access = _access(host, namespace, token_file=token_file, cookies_file=cookies_file, ca_file=ca_file)
    there, disabled = schedules.remove_schedule(access.connect(), name)
    if not there:
        raise InputError(f"{name!r} is no schedule on {access.host}; distill schedules lists them")
    done = (
        f"Disabled {_count(disabled, 'schedule')} of the name {name}."
        if disabled
        else "It is disabled already."
    )
    print_line(stdout(), done)


def _access(
    host: str,
    namespace: str | None,
    *,
    token_file: pathlib.Path | None,
    cookies_file: pathlib.Path | None,
    ca_file: pathlib.Path | None,
) -> _Access:
    return _Access(
        check_host(host),
        namespace,
        read_credentials(
            token_file=token_file, cookies_file=cookies_file, ca_file=ca_file, environment=os.environ
        ),
    )


def _parameters(experiment: Config, assignments: list[str] | None) -> dict[str, Value]:
    declared = {parameter.name: parameter.type for parameter in run_parameters(experiment)}
    return parse_parameters(assignments or (), declared=declared)


def _refuse_unfilled(parameters: Mapping[str, Value]) -> None:
    """Refuses what Kubeflow would fill in, which it does not for a schedule that is pinned to its version."""
    for name, value in parameters.items():
        if isinstance(value, str) and UNFILLED in value:
            raise InputError(
                f"the parameter {name} is {value!r}, which Kubeflow hands to a schedule's runs as it stands; "
                "give a value, or data whose path holds {SPAN} or {YYYY}-{MM}-{DD}"
            )


def _upload(
    server: Server, experiment: Config, *, image: str | None, pipeline_root: str | None = None
) -> pipelines.Version:
    console = stdout()
    print_line(console, "Compiling the pipeline, which can take half a minute.")
    # A run says where its artifacts go; only workers elsewhere have to be told before.
    root = pipeline_root if experiment.kubeflow.beam.engine != "direct" else None
    text = _compile(experiment, image, root)
    version = pipelines.upload(server, pipeline=experiment.name, text=text)
    print_line(console, f"Version {version.name}: {'uploaded' if version.is_new else 'is there already'}.")
    return version


def _compile(experiment: Config, image: str | None, pipeline_root: str | None) -> str:
    with silenced():
        from pipeline.kubeflow.compiler import render_pipeline

        return render_pipeline(experiment, image=image, pipeline_root=pipeline_root)


def _follow(server: Server, run: Any, *, nodes: tuple[str, ...]) -> None:
    console = stdout()
    outcome: Event | None = None
    events = follow(server, run.run_id, nodes=nodes, wait=lambda: PATIENCE.sleep(_SECONDS_BETWEEN_LOOKS))
    try:
        with shown(console, nodes=nodes, starting="Waiting for Kubeflow") as show:
            for outcome in events:
                show(outcome)
    except KeyboardInterrupt:
        raise ServerError(
            f"interrupted; the run goes on: {server.page(f'runs/details/{run.run_id}')}"
        ) from None
    if isinstance(outcome, RunFailed):
        raise ServerError(outcome.message)
    for line in _result(server, run):
        print_line(console, line)


def _result(server: Server, run: Any) -> list[str]:
    """Returns what a run that succeeded came to, or where to look."""
    try:
        lines = read_result(server, run.run_id)
    except ServerError:  # It has succeeded nevertheless.
        lines = []
    page = server.page(f"runs/details/{run.run_id}")
    return lines or ["The run succeeded.", f"Report:  the Evaluator's output 'report' at {page}"]


def _describe_schedule(recurring_run: Any, *, now: datetime.datetime) -> tuple[str, ...]:
    """Returns the columns of a schedule: name, state, times, next run, and what it runs."""
    is_enabled = schedules.is_enabled(recurring_run)
    trigger = recurring_run.trigger
    cron = trigger.cron_schedule.cron if trigger and trigger.cron_schedule else None
    if cron is None and trigger and trigger.periodic_schedule:
        times = f"every {trigger.periodic_schedule.interval_second} s"
    else:
        times = cron or ""
    return (
        recurring_run.display_name,
        "enabled" if is_enabled else "disabled",
        times,
        _describe_next(cron, now=now) if cron and is_enabled else "",
        recurring_run.description or "",
    )


def _describe_next(cron: str, *, now: datetime.datetime) -> str:
    """Returns when a schedule runs next, or nothing if it is written as none of ours."""
    if len(cron.split()) != _FIELDS:
        return ""
    try:
        (moment,) = next_runs(parse_cron(cron, now=now), after=now, count=1)
    except InputError:
        return ""
    return describe_time(moment.astimezone(), now=now)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("s" if number > 1 else "")
