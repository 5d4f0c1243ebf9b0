"""Versions of a pipeline on a server, and their runs."""

import dataclasses
import datetime
import hashlib
import pathlib
import secrets
import tempfile
from typing import Any

from pipeline.kubeflow.server.connection import Server

_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a pipeline on a server; `is_new` if it was not there before."""

    name: str
    pipeline_id: str
    version_id: str
    is_new: bool

    @property
    def page(self) -> str:
        """Its page in the server's user interface."""
        return f"pipelines/details/{self.pipeline_id}/version/{self.version_id}"


def version_name(pipeline: str, text: str) -> str:
    """Returns the name of a version: the pipeline's and a hash of its content."""
    return f"{pipeline}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def upload(server: Server, *, pipeline: str, text: str) -> Version:
    """Sees to it that a version of a pipeline is on a server.

    Args:
      server: Where to.
      pipeline: Its name, as the user interface shows it.
      text: The compiled pipeline. Its version is named by its content: the same is not uploaded twice.

    Raises:
      ServerError: The server does not take it.
    """
    pipeline_id = _pipeline_id(server, pipeline)
    name = version_name(pipeline, text)
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "pipeline.yaml")
        file.write_text(text, encoding="utf-8")
        version, is_new = server.find_or_create(
            f"upload the version {name}",
            server.client.pipeline_uploads.upload_pipeline_version,
            find=lambda: server.find_named(
                server.client.pipelines.pipeline_service_list_pipeline_versions,
                items="pipeline_versions",
                name=name,
                pipeline_id=pipeline_id,
            ),
            key="pipeline_version_id",
            uploadfile=str(file),
            name=name,
            pipelineid=pipeline_id,
        )
    return Version(name, pipeline_id, version.pipeline_version_id, is_new)


def _pipeline_id(server: Server, name: str) -> str:
    import kfp_server_api

    pipeline, _ = server.find_or_create(
        f"create the pipeline {name}",
        server.client.pipelines.pipeline_service_create_pipeline,
        find=lambda: server.find_named(
            server.client.pipelines.pipeline_service_list_pipelines,
            items="pipelines",
            name=name,
            **server.scope,
        ),
        key="pipeline_id",
        pipeline=kfp_server_api.V2beta1Pipeline(display_name=name, **server.scope),
    )
    return pipeline.pipeline_id


def experiment_id(server: Server, name: str) -> str:
    """Returns the id of an experiment, which is made if it is not there.

    Args:
      server: Where it is.
      name: Its name.

    Raises:
      ServerError: The server does not make it.
    """
    import kfp_server_api

    experiment, _ = server.find_or_create(
        f"create the experiment {name}",
        server.client.experiments.experiment_service_create_experiment,
        find=lambda: server.find_named(
            server.client.experiments.experiment_service_list_experiments,
            items="experiments",
            name=name,
            **server.scope,
        ),
        key="experiment_id",
        experiment=kfp_server_api.V2beta1Experiment(display_name=name, **server.scope),
    )
    return experiment.experiment_id


def start_run(
    server: Server,
    *,
    version: Version,
    experiment_id: str,
    parameters: dict[str, Any],
    pipeline_root: str | None,
    service_account: str | None,
) -> Any:
    """Starts a run of a version.

    Args:
      server: Where.
      version: Of which pipeline.
      experiment_id: The experiment to which it belongs.
      parameters: Values that differ from the pipeline's own.
      pipeline_root: Where its artifacts go; None is the server's default.
      service_account: The Kubernetes account in whose name it runs; None is the server's default.

    Returns:
      The run.

    Raises:
      ServerError: The server does not start it.
    """
    import kfp_server_api

    # No other run has this name, so that it can be found again if the server's answer is lost.
    name = f"{version.name}-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run, _ = server.find_or_create(
        "start the run",
        server.client.runs.run_service_create_run,
        find=lambda: server.find_named(
            server.client.runs.run_service_list_runs, items="runs", name=name, experiment_id=experiment_id
        ),
        key="run_id",
        run=kfp_server_api.V2beta1Run(
            display_name=name,
            experiment_id=experiment_id,
            pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
            ),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(
                parameters=parameters, pipeline_root=pipeline_root
            ),
            service_account=service_account,
        ),
    )
    return run
