"""From a configuration to the file that Kubeflow Pipelines takes."""

import pathlib

import yaml
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)

from components.files import write_text
from pipeline.config import Config
from pipeline.graph import create_pipeline

IMAGE = "distillation-pipeline:0.1.0"
# The bucket that Kubeflow Pipelines installs; each run of a pipeline may name another root.
PIPELINE_ROOT = "minio://mlpipeline/v2/artifacts"


def compile_pipeline(
    config: Config, *, output: pathlib.Path, image: str | None = None, pipeline_root: str | None = None
) -> None:
    """Writes the pipeline specification of an experiment; see `render_pipeline`.

    Args:
      config: The experiment.
      output: The YAML file to write.
      image: The container image of the nodes; None is the configuration's.
      pipeline_root: Where the artifacts go; None is the configuration's.
    """
    write_text(output, render_pipeline(config, image=image, pipeline_root=pipeline_root))


def render_pipeline(config: Config, *, image: str | None = None, pipeline_root: str | None = None) -> str:
    """Compiles an experiment for Kubeflow Pipelines.

    Args:
      config: The experiment.
      image: The container image of the nodes; None is the configuration's.
      pipeline_root: Where the artifacts go; None is the configuration's.

    Returns:
      The YAML text; the same configuration gives the same bytes.
    """
    root = pipeline_root or f"{PIPELINE_ROOT}/{config.name}"
    runner = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(default_image=image or IMAGE, use_pipeline_spec_2_1=True)
    )
    job = runner.run(
        create_pipeline(config, root=root, push_directory=config.push.directory or f"{root}/pushed"),
        write_out=False,
    )
    specification = job["pipelineSpec"]
    # TFX leaves the root in the job around the specification, which Kubeflow Pipelines does not take.
    specification["defaultPipelineRoot"] = root
    return yaml.safe_dump(specification, sort_keys=True)
