"""Takes what an acceptance run has made off the server again."""

from typing import Any

from pipeline.kubeflow.server.connection import Server, ServerError


def clean_up(server: Server, name: str) -> list[str]:
    """Deletes the schedules, runs, experiment, versions and pipeline of a name, and nothing else.

    Returns:
      What could not be found or deleted, and why; the rest is gone.
    """
    client = server.client
    left: list[str] = []

    def find(operation: Any, items: str, **about: Any) -> list[Any]:
        try:
            return server.find_all(f"list {items}", operation, items=items, **about)
        except ServerError as error:
            left.append(str(error))
            return []

    def delete(operation: Any, *ids: str) -> None:
        try:
            server.read(f"delete {'/'.join(ids)}", lambda **request: operation(*ids, **request))
        except ServerError as error:
            left.append(str(error))

    for schedule in find(
        client.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        name=name,
        **server.scope,
    ):
        delete(client.recurring_runs.recurring_run_service_delete_recurring_run, schedule.recurring_run_id)
    for experiment in find(
        client.experiments.experiment_service_list_experiments, "experiments", name=name, **server.scope
    ):
        of_experiment = {"experiment_id": experiment.experiment_id}
        for run in find(client.runs.run_service_list_runs, "runs", **of_experiment):
            delete(client.runs.run_service_delete_run, run.run_id)
        delete(client.experiments.experiment_service_delete_experiment, experiment.experiment_id)
    for pipeline in find(
        client.pipelines.pipeline_service_list_pipelines, "pipelines", name=name, **server.scope
    ):
        for version in find(
            client.pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id=pipeline.pipeline_id,
        ):
            delete(
                client.pipelines.pipeline_service_delete_pipeline_version,
                pipeline.pipeline_id,
                version.pipeline_version_id,
            )
        delete(client.pipelines.pipeline_service_delete_pipeline, pipeline.pipeline_id)
    return left
