import copy
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2

from pipeline.config.kubeflow import KubeflowSettings, NodeSettings, Secret, Toleration, Volume
from pipeline.kubeflow.documents import finish
from pipeline.kubeflow.findings import Finding
from pipeline.kubeflow.run_parameters import RunParameter

EPOCHS = RunParameter("teacher_epochs", "NUMBER_INTEGER", 30, "How long.", {"Teacher": "job.model.epochs"})

# As TFX writes it, but for what plays no part here.
SPECIFICATION = {
    "pipelineInfo": {"name": "digits"},
    "components": {
        "Look": {"executorLabel": "Look_executor"},
        "ExampleGen": {"executorLabel": "ExampleGen_executor"},
        "Teacher": {
            "executorLabel": "Teacher_executor",
            "inputDefinitions": {"parameters": {"job": {"parameterType": "STRING"}}},
        },
    },
    "deploymentSpec": {
        "executors": {
            "Look_executor": {"container": {"image": "i", "args": ["--look"]}},
            "ExampleGen_executor": {
                "container": {"image": "i", "args": [], "lifecycle": {"preCacheCheck": {}}}
            },
            "Teacher_executor": {"container": {"image": "i", "args": ["--x"]}},
        }
    },
    "root": {
        "dag": {
            "tasks": {
                "Look": {"componentRef": {"name": "Look"}},
                "ExampleGen": {
                    "componentRef": {"name": "ExampleGen"},
                    "cachingOptions": {"enableCache": True},
                },
                "Teacher": {
                    "componentRef": {"name": "Teacher"},
                    "dependentTasks": ["ExampleGen"],
                    "inputs": {"parameters": {"job": {"runtimeValue": {"constant": "{}"}}}},
                },
            }
        }
    },
}


def finished(**nodes: NodeSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    specification, platform = finish(
        SPECIFICATION,
        display_name="Digits",
        description="Small.",
        pipeline_root="s3://bucket/digits",
        parameters=[EPOCHS],
        findings=[Finding("student_files", "student", {"Teacher": "job.code"})],
        settings=KubeflowSettings(nodes=nodes),
    )
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        json_format.ParseDict(executor, kubernetes_pb2.KubernetesExecutorConfig())
    return specification, executors


def resources(**settings: Any) -> dict[str, Any]:
    specification, _ = finished(Teacher=NodeSettings(**settings))
    found: dict[str, Any] = specification["deploymentSpec"]["executors"]["exec-Teacher"]["container"][
        "resources"
    ]
    return found


def test_what_was_compiled_stays_as_it_was() -> None:
    before = copy.deepcopy(SPECIFICATION)
    finished()
    assert before == SPECIFICATION


def test_names_root_and_lifecycle() -> None:
    specification, _ = finished()
    assert specification["pipelineInfo"] == {
        "name": "digits",
        "displayName": "Digits",
        "description": "Small.",
    }
    assert specification["defaultPipelineRoot"] == "s3://bucket/digits"
    assert set(specification["components"]) == {"comp-Look", "comp-ExampleGen", "comp-Teacher"}
    assert specification["components"]["comp-Teacher"]["executorLabel"] == "exec-Teacher"
    assert specification["root"]["dag"]["tasks"]["Teacher"]["componentRef"] == {"name": "comp-Teacher"}
    assert "lifecycle" not in specification["deploymentSpec"]["executors"]["exec-ExampleGen"]["container"]


def test_caching_and_retries_are_of_each_task() -> None:
    tasks = finished(Teacher=NodeSettings(retries=5, timeout_minutes=90))[0]["root"]["dag"]["tasks"]
    assert tasks["ExampleGen"]["cachingOptions"] == {"enableCache": True}
    assert tasks["Look"]["cachingOptions"] == {"enableCache": False}
    assert tasks["Teacher"]["cachingOptions"] == {"enableCache": True}
    assert tasks["ExampleGen"]["retryPolicy"]["maxRetryCount"] == 2
    assert tasks["Teacher"]["retryPolicy"] == {
        "maxRetryCount": 5,
        "backoffDuration": "60s",
        "backoffFactor": 2,
        # Six attempts of 5,400 s, and the pauses of 60, 120, 240, 480 and 960 s between them.
        "backoffMaxDuration": "34260s",
    }
    assert (
        "retryPolicy" not in finished(Teacher=NodeSettings(retries=0))[0]["root"]["dag"]["tasks"]["Teacher"]
    )


def test_a_run_parameter_has_a_default_and_reaches_its_node() -> None:
    specification, _ = finished()
    assert specification["root"]["inputDefinitions"]["parameters"]["teacher_epochs"] == {
        "parameterType": "NUMBER_INTEGER",
        "defaultValue": 30,
        "isOptional": True,
        "description": "How long.",
    }
    assert specification["root"]["dag"]["tasks"]["Teacher"]["inputs"]["parameters"] == {
        "job": {"runtimeValue": {"constant": "{}"}},
        "teacher_epochs": {"componentInputParameter": "teacher_epochs"},
        "student_files": {
            "taskOutputParameter": {"producerTask": "Look", "outputParameterKey": "student_files"}
        },
    }
    parameters = specification["components"]["comp-Teacher"]["inputDefinitions"]["parameters"]
    assert parameters["teacher_epochs"] == {"parameterType": "NUMBER_INTEGER"}
    container = specification["deploymentSpec"]["executors"]["exec-Teacher"]["container"]
    assert container["args"] == [
        *("--x", "--run_parameter", "job.model.epochs=teacher_epochs"),
        *("--run_parameter", "job.code=student_files"),
    ]


def test_who_is_told_by_look_waits_for_it() -> None:
    tasks = finished()[0]["root"]["dag"]["tasks"]
    assert tasks["Teacher"]["dependentTasks"] == ["ExampleGen", "Look"]
    assert "dependentTasks" not in tasks["ExampleGen"]


@pytest.mark.parametrize(
    ("memory", "gigabytes"),
    [("8Gi", 8.589934592), ("8G", 8.0), ("500Mi", 0.524288), ("1.5T", 1500.0)],
)
def test_memory_is_written_for_old_and_new_servers(memory: str, gigabytes: float) -> None:
    found = resources(memory=memory)
    assert found["memoryLimit"] == found["memoryRequest"] == pytest.approx(gigabytes)
    assert found["resourceMemoryLimit"] == found["resourceMemoryRequest"] == memory


def test_cores_are_written_for_old_and_new_servers() -> None:
    found = resources(cpu="1500m")
    assert found["cpuLimit"] == found["cpuRequest"] == 1.5
    assert found["resourceCpuLimit"] == found["resourceCpuRequest"] == "1500m"


def test_gpus_are_asked_for_by_the_resource_s_name() -> None:
    assert resources()["accelerator"] == {
        "type": "nvidia.com/gpu",
        "count": "1",
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "1",
    }
    assert resources(gpus=2, gpu_resource="amd.com/gpu")["accelerator"]["resourceType"] == "amd.com/gpu"
    assert "accelerator" not in resources(gpus=0)
    assert (
        "accelerator"
        not in finished()[0]["deploymentSpec"]["executors"]["exec-ExampleGen"]["container"]["resources"]
    )


def test_kubernetes_is_told_where_to_put_a_node_and_what_to_mount() -> None:
    _, executors = finished(
        Teacher=NodeSettings(
            timeout_minutes=90,
            shared_memory="8Gi",
            node_selector={"gpu": "a100"},
            tolerations=(
                Toleration(key="dedicated", operator="Equal", value="training", effect="NoExecute"),
            ),
            volumes=(Volume(claim="data", mount_path="/data"),),
            secrets=(
                Secret(name="store", variables={"key": "AWS_ACCESS_KEY_ID"}),
                Secret(name="files", mount_path="/secrets"),
            ),
        )
    )
    assert executors["exec-Teacher"] == {
        "activeDeadlineSeconds": "5400",
        "emptyDirMounts": [
            {"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "8Gi"}
        ],
        "nodeSelector": {"labels": {"gpu": "a100"}},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "training", "effect": "NoExecute"}
        ],
        "pvcMount": [
            {
                "constant": "data",
                "mountPath": "/data",
                "pvcNameParameter": {"runtimeValue": {"constant": "data"}},
            }
        ],
        "secretAsEnv": [
            {
                "secretName": "store",
                "keyToEnv": [{"secretKey": "key", "envVar": "AWS_ACCESS_KEY_ID"}],
                "secretNameParameter": {"runtimeValue": {"constant": "store"}},
            }
        ],
        "secretAsVolume": [
            {
                "secretName": "files",
                "mountPath": "/secrets",
                "secretNameParameter": {"runtimeValue": {"constant": "files"}},
            }
        ],
    }
    assert executors["exec-ExampleGen"] == {"activeDeadlineSeconds": "86400"}
