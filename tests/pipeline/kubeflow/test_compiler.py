import json
import pathlib
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import InputError
from pipeline.config.loading import load_config
from pipeline.kubeflow.compiler import compile_pipeline, render_pipeline

REPOSITORY = pathlib.Path(__file__).parents[3]
DIGITS = REPOSITORY / "configs" / "digits.yaml"
GPU_NODES = {"Teacher", "TeacherPredictions", "Scratch", "Distiller-distilled"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(load_config(DIGITS), output=output)
    return output


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def containers(text: str) -> dict[str, dict[str, Any]]:
    """The container of each node, by the node's id."""
    specification, _ = documents(text)
    executors = specification["deploymentSpec"]["executors"]
    return {
        node: executors[specification["components"][task["componentRef"]["name"]]["executorLabel"]][
            "container"
        ]
        for node, task in specification["root"]["dag"]["tasks"].items()
    }


def test_both_documents_parse_strictly_and_kfp_loads_them(compiled: pathlib.Path) -> None:
    specification, platform = documents(compiled.read_text())

    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        json_format.ParseDict(executor, kubernetes_pb2.KubernetesExecutorConfig())
    loaded = components.load_component_from_file(str(compiled))
    assert set(loaded.platform_spec.platforms["kubernetes"].deployment_spec.executors) == set(executors)
    assert specification["schemaVersion"] == "2.1.0"
    assert specification["defaultPipelineRoot"] == "minio://mlpipeline/v2/artifacts"


def test_the_compiled_pipeline_has_every_node(compiled: pathlib.Path) -> None:
    assert set(containers(compiled.read_text())) == set(load_config(DIGITS).kubeflow_node_ids)


def test_training_nodes_alone_ask_for_accelerators(compiled: pathlib.Path) -> None:
    found = containers(compiled.read_text())

    assert {node for node, container in found.items() if "accelerator" in container["resources"]} == GPU_NODES


def test_image_and_root_given_go_before_those_of_the_configuration() -> None:
    config = load_config(DIGITS, overrides=["kubeflow.gpu_image=trainer:1"])

    own = render_pipeline(config)
    given = render_pipeline(config, image="registry/distil:2", pipeline_root="s3://bucket/runs")

    assert {
        node for node, container in containers(own).items() if container["image"] == "trainer:1"
    } == GPU_NODES
    assert {container["image"] for container in containers(given).values()} == {"registry/distil:2"}
    assert documents(given)[0]["defaultPipelineRoot"] == "s3://bucket/runs"
    assert given == render_pipeline(config, image="registry/distil:2", pipeline_root="s3://bucket/runs")


def test_checkpoints_go_to_the_volume_that_is_named() -> None:
    volume = "{claim: kept, mount_path: /kept}"
    config = load_config(
        DIGITS,
        overrides=[
            "kubeflow.checkpoint_directory=/kept/checkpoints",
            f"kubeflow.training_nodes.volumes=[{volume}]",
        ],
    )

    text = render_pipeline(config)

    for node in ("Teacher", "Scratch", "Distiller-distilled"):
        parameters = documents(text)[0]["root"]["dag"]["tasks"][node]["inputs"]["parameters"]
        assert "/kept/checkpoints/digits" in json.dumps(parameters)


@pytest.mark.parametrize(
    "config", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_experiment_compiles_under_a_name_that_kubeflow_takes(config: pathlib.Path) -> None:
    information = documents(render_pipeline(load_config(config)))[0]["pipelineInfo"]

    assert information["name"] == config.stem.replace("_", "-")
    assert information["displayName"] == config.stem


def test_variants_run_side_by_side() -> None:
    search = ["distillations.0.temperature=[1, 2.5]", "distillations.0.student_loss_weight=[0, 0.5]"]
    config = load_config(DIGITS, overrides=search)

    tasks = documents(render_pipeline(config))[0]["root"]["dag"]["tasks"]

    distillers = {f"Distiller-distilled-T{t}-w{w}" for t in ("1", "2-5") for w in ("0", "0-5")}
    assert {name for name in tasks if name.startswith("Distiller")} == distillers
    assert set(tasks["Evaluator"]["dependentTasks"]) > distillers
    for name in distillers:
        assert set(tasks[name]["dependentTasks"]).isdisjoint(distillers)


def test_the_files_of_models_need_not_be_here() -> None:
    """They lie where the containers see them."""
    teachers = "teacher=[{from: /models/one.keras}, {from: /models/two}]"
    student = "student={from: /models/three.keras, epochs: 3, batch_size: 8, learning_rate: 0.001}"

    specification = documents(render_pipeline(load_config(DIGITS, overrides=[teachers, student])))[0]

    tasks = specification["root"]["dag"]["tasks"]
    assert {"Teacher-1", "Teacher-2", "Teacher"} <= set(tasks)
    assert "/models/two" in json.dumps(specification)
    starting = {
        node for node, task in tasks.items() if node != "Look" and "/models/three.keras" in json.dumps(task)
    }
    assert starting == {"Scratch", "Distiller-distilled"}
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert parameters["student_epochs"]["defaultValue"] == 3


@pytest.mark.parametrize(
    ("overrides", "root", "message"),
    [
        ([], "/tmp/root", "--pipeline-root: got '/tmp/root'; must be an object store's URI"),
    ],
)
def test_what_no_container_could_use_is_refused(overrides: list[str], root: str | None, message: str) -> None:
    with pytest.raises(InputError) as caught:
        render_pipeline(load_config(DIGITS, overrides=overrides), pipeline_root=root)
    assert str(caught.value).startswith(message)
