"""Takes what an acceptance run has made off the server again."""

from typing import Any

import kfp_server_api

from pipeline.kubeflow.server.connection import Server


def clean_up(server: Server, name: str) -> None:
    """Deletes the schedules, runs, experiment, versions and pipeline of a name, and nothing else."""
    where = {"namespace": server.namespace} if server.namespace else {}
    client = server.client

    def find(operation: Any, items: str, **about: Any) -> list[Any]:
        return server.find_all("look for what was made", operation, items=items, **about)

    for schedule in find(
        client.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        name=name,
        **where,
    ):
        _delete(client.recurring_runs.recurring_run_service_delete_recurring_run, schedule.recurring_run_id)
    for experiment in find(
        client.experiments.experiment_service_list_experiments, "experiments", name=name, **where
    ):
        of_experiment = {"experiment_id": experiment.experiment_id}
        for run in find(client.runs.run_service_list_runs, "runs", **of_experiment):
            _delete(client.runs.run_service_delete_run, run.run_id)
        _delete(client.experiments.experiment_service_delete_experiment, experiment.experiment_id)
    for pipeline in find(client.pipelines.pipeline_service_list_pipelines, "pipelines", name=name, **where):
        for version in find(
            client.pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id=pipeline.pipeline_id,
        ):
            _delete(
                client.pipelines.pipeline_service_delete_pipeline_version,
                pipeline.pipeline_id,
                version.pipeline_version_id,
            )
        _delete(client.pipelines.pipeline_service_delete_pipeline, pipeline.pipeline_id)


def _delete(operation: Any, *ids: str) -> None:
    """Deletes one thing; what cannot be deleted is said and left, so that the rest goes."""
    try:
        operation(*ids)
    except kfp_server_api.ApiException as error:
        print(f"could not delete {'/'.join(ids)}: {error.status} {error.reason}")
