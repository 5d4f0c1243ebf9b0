"""From a configuration to the file that Kubeflow Pipelines takes."""

import pathlib

import yaml
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)

from components.files import write_text
from pipeline.config.experiment import Config
from pipeline.config.hints import check_hints
from pipeline.config.kubeflow import check_workers_reach_artifacts, override
from pipeline.graph import create_pipeline
from pipeline.kubeflow.checker import check
from pipeline.kubeflow.documents import finish
from pipeline.kubeflow.findings import TICK, Finding, findings
from pipeline.kubeflow.look_task import with_look
from pipeline.kubeflow.run_parameters import SCRATCH_DIRECTORY, run_parameters

# A specification needs a root, though the server ignores it: the bucket that Kubeflow Pipelines installs.
DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
ENTRYPOINT = ("python3", "-m", "pipeline.kubeflow.entrypoint")


def compile_pipeline(
    config: Config, *, output: pathlib.Path, image: str | None = None, pipeline_root: str | None = None
) -> None:
    """Writes an experiment as a file for Kubeflow Pipelines; see `render_pipeline`.

    Args:
      config: The experiment.
      output: The YAML file to write.
      image: The container image of all nodes; None is the configuration's.
      pipeline_root: Where the artifacts go; None is the configuration's.

    Raises:
      InputError: The configuration names what no container can use.
    """
    write_text(output, render_pipeline(config, image=image, pipeline_root=pipeline_root))


def render_pipeline(config: Config, *, image: str | None = None, pipeline_root: str | None = None) -> str:
    """Compiles an experiment for open-source Kubeflow Pipelines 2.

    Args:
      config: The experiment.
      image: The container image of all nodes; None is the configuration's.
      pipeline_root: Where the artifacts go; None is the configuration's.

    Returns:
      The YAML text of two documents; the same configuration gives the same bytes.

    Raises:
      InputError: The configuration names what no container can use.
    """
    config = config.model_copy(
        update={
            "kubeflow": override(
                config.kubeflow, image=image, pipeline_root=pipeline_root or config.kubeflow_root
            )
        }
    )
    check_hints(config)
    check_workers_reach_artifacts(config.kubeflow)
    settings = config.kubeflow.with_look(config.nodes_with_files)
    told = findings(config)
    documents = finish(
        with_look(_compile(config), config=config, image=settings.image, command=ENTRYPOINT, findings=told),
        display_name=config.name,
        description="Distils an image classifier and compares the student with its teacher.",
        pipeline_root=settings.pipeline_root or DEFAULT_ROOT,
        parameters=run_parameters(config),
        findings=(*told, Finding(TICK, TICK, {"Pusher": "run"})),
        settings=settings,
    )
    check(*documents)
    return yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True)


def _compile(config: Config) -> dict[str, object]:
    """Has TFX compile the graph."""
    settings, name = config.kubeflow, config.name.lower().replace("_", "-")
    images = {"default_image_path": settings.image}
    if settings.gpu_image:
        images |= {node: settings.gpu_image for node in config.node_ids if settings.of_node(node).gpus}
    runner = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(
            default_image=images, default_commands=list(ENTRYPOINT), use_pipeline_spec_2_1=True
        )
    )
    job = runner.run(
        create_pipeline(
            config.model_copy(update={"name": name}),
            root=settings.pipeline_root or DEFAULT_ROOT,
            push_directory=config.push.directory or SCRATCH_DIRECTORY,
            checkpoint_directory=settings.checkpoint_directory and f"{settings.checkpoint_directory}/{name}",
        ),
        write_out=False,
    )
    specification: dict[str, object] = job["pipelineSpec"]
    return specification
