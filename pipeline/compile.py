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


def compile_pipeline(config: Config, *, output: pathlib.Path) -> None:
    """Writes the pipeline specification of an experiment.

    The same configuration gives the same bytes.

    Args:
      config: The experiment.
      output: The YAML file to write.
    """
    root = f"{PIPELINE_ROOT}/{config.name}"
    runner = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(default_image=IMAGE, use_pipeline_spec_2_1=True)
    )
    job = runner.run(
        create_pipeline(config, root=root, push_directory=config.push.directory or f"{root}/pushed"),
        write_out=False,
    )
    specification = job["pipelineSpec"]
    # TFX leaves the root in the job around the specification, which Kubeflow Pipelines does not take.
    specification["defaultPipelineRoot"] = root
    write_text(output, yaml.safe_dump(specification, sort_keys=True))
