"""Schedules on a server, which Kubeflow calls recurring runs."""

import dataclasses
from typing import Any

from pipeline.kubeflow.server.connection import Server, ServerError
from pipeline.kubeflow.server.versions import Version


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When a version of a pipeline runs, and how.

    Attributes:
      name: The schedule's name.
      version: The version that it runs, and no later one.
      cron: What `parse_cron` returned.
      max_concurrency: So many of its runs may go on at a time, 1 to 10.
      catches_up: Runs that fell due while it was disabled are made up for.
      parameters: Values that differ from the pipeline's own.
      experiment_id: The experiment to which its runs belong.
      pipeline_root: Where the artifacts of its runs go; None is the server's default.
      service_account: The Kubernetes account in whose name it runs; None is the server's default.
    """

    name: str
    version: Version
    cron: str
    max_concurrency: int
    catches_up: bool
    parameters: dict[str, Any]
    experiment_id: str
    pipeline_root: str | None
    service_account: str | None


def put_schedule(server: Server, schedule: Schedule) -> tuple[Any, int]:
    """Makes a schedule, and then disables the older ones of its name.

    The same schedule is not made twice. If it cannot be made, the older ones go on.

    Args:
      server: Where.
      schedule: The schedule.

    Returns:
      The recurring run, and how many older ones were disabled.

    Raises:
      ServerError: The server does not make it, or does not disable an older one.
    """
    made, _ = server.find_or_create(
        f"create the schedule {schedule.name}",
        server.client.recurring_runs.recurring_run_service_create_recurring_run,
        find=lambda: next(
            (each for each in _enabled(server, schedule.name) if _is_same(each, schedule)), None
        ),
        key="recurring_run_id",
        recurring_run=_recurring_run(schedule),
    )
    older = [
        each for each in _enabled(server, schedule.name) if each.recurring_run_id != made.recurring_run_id
    ]
    try:
        _disable(server, older)
    except ServerError as error:
        raise ServerError(
            f"the schedule {schedule.name} is made, but an older one of its name may go on too: {error}; "
            "run the same command again"
        ) from None
    return made, len(older)


def list_schedules(server: Server, *, name: str | None = None) -> list[Any]:
    """Returns the recurring runs on a server, enabled or not; with a name, those of that name."""
    return server.find_all(
        "list the schedules",
        server.client.recurring_runs.recurring_run_service_list_recurring_runs,
        items="recurring_runs",
        name=name,
        **server.scope,
    )


def remove_schedule(server: Server, name: str) -> tuple[int, int]:
    """Disables the schedules of a name; they stay on the server, with their runs.

    Args:
      server: Where.
      name: The name.

    Returns:
      How many there are of that name, and how many of them were enabled.

    Raises:
      ServerError: The server does not do it.
    """
    schedules = list_schedules(server, name=name)
    enabled = [each for each in schedules if is_enabled(each)]
    _disable(server, enabled)
    return len(schedules), len(enabled)


def is_enabled(recurring_run: Any) -> bool:
    """Tells whether a recurring run makes runs; one made a moment ago has no status yet."""
    return recurring_run.status != "DISABLED"


def _enabled(server: Server, name: str) -> list[Any]:
    return [each for each in list_schedules(server, name=name) if is_enabled(each)]


def _disable(server: Server, recurring_runs: list[Any]) -> None:
    for each in recurring_runs:
        server.read(
            f"disable the schedule {each.display_name}",
            server.client.recurring_runs.recurring_run_service_disable_recurring_run,
            recurring_run_id=each.recurring_run_id,
        )


def _recurring_run(schedule: Schedule) -> Any:
    import kfp_server_api as api

    return api.V2beta1RecurringRun(
        display_name=schedule.name,
        description=f"version {schedule.version.name}",
        experiment_id=schedule.experiment_id,
        pipeline_version_reference=api.V2beta1PipelineVersionReference(
            pipeline_id=schedule.version.pipeline_id, pipeline_version_id=schedule.version.version_id
        ),
        runtime_config=api.V2beta1RuntimeConfig(
            parameters=schedule.parameters, pipeline_root=schedule.pipeline_root
        ),
        trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=schedule.cron)),
        max_concurrency=str(schedule.max_concurrency),
        no_catchup=not schedule.catches_up,
        mode="ENABLE",
        service_account=schedule.service_account,
    )


def _is_same(recurring_run: Any, schedule: Schedule) -> bool:
    trigger, config = recurring_run.trigger, recurring_run.runtime_config
    there = (
        recurring_run.experiment_id,
        recurring_run.pipeline_version_reference.pipeline_version_id
        if recurring_run.pipeline_version_reference
        else None,
        trigger.cron_schedule.cron if trigger and trigger.cron_schedule else None,
        recurring_run.max_concurrency,
        bool(recurring_run.no_catchup),
        config.parameters or {} if config else {},
        config.pipeline_root or None if config else None,
        # The server puts its own where none is given.
        recurring_run.service_account if schedule.service_account else None,
    )
    return there == (
        schedule.experiment_id,
        schedule.version.version_id,
        schedule.cron,
        str(schedule.max_concurrency),
        not schedule.catches_up,
        schedule.parameters,
        schedule.pipeline_root,
        schedule.service_account,
    )
