"""From what TFX compiles to the two documents that open-source Kubeflow Pipelines takes. Pure functions.

The first document is the pipeline specification; the second holds the Kubernetes settings of each
container.
"""

import copy
import re
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2

from pipeline.config.beam import BeamSettings
from pipeline.config.kubeflow import KubeflowSettings, NodeSettings, Secret, Volume
from pipeline.config.nodes import LOOK, uses_beam
from pipeline.kubeflow.findings import Finding
from pipeline.kubeflow.run_parameters import RunParameter

# KFP's own local orchestrator cuts five characters off a component's name, as its SDK writes it.
_COMPONENT = "comp-{}"
_EXECUTOR = "exec-{}"
# Seconds before a node is tried for the second time, and how many times longer each further pause is.
_FIRST_PAUSE, _PAUSE_FACTOR = 60, 2
_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

Document = dict[str, Any]


def finish(
    specification: Document,
    *,
    display_name: str,
    description: str,
    pipeline_root: str,
    parameters: Iterable[RunParameter],
    findings: Iterable[Finding],
    settings: KubeflowSettings,
) -> tuple[Document, Document]:
    """Finishes a specification that TFX has compiled.

    Args:
      specification: TFX's pipeline specification; it is left as it is.
      display_name: The pipeline's name for a reader.
      description: A line on what it does.
      pipeline_root: Where the artifacts of a run go unless the run says otherwise.
      parameters: What a run may change.
      findings: What Look, a task of it, tells the others.
      settings: What each node's container is given.

    Returns:
      The pipeline specification and the platform specification.
    """
    specification = _renamed(specification)
    specification["defaultPipelineRoot"] = pipeline_root
    specification["pipelineInfo"] |= {"displayName": display_name, "description": description}
    tasks, executors = specification["root"]["dag"]["tasks"], specification["deploymentSpec"]["executors"]
    for node, task in tasks.items():
        of_node = settings.of_node(node)
        task["cachingOptions"] = {"enableCache": bool(of_node.cache)}
        if of_node.retries:
            task["retryPolicy"] = _retry_policy(of_node)
        container = executors[_EXECUTOR.format(node)]["container"]
        container.pop("lifecycle", None)
        container["resources"] = _resources(of_node)
        if uses_beam(node) and settings.beam != BeamSettings():
            container["args"] += ["--beam", settings.beam.model_dump_json(exclude_defaults=True)]
    for parameter in parameters:
        _add_parameter(specification, parameter)
    for finding in findings:
        _add_finding(specification, finding)
    platform = {_EXECUTOR.format(node): _kubernetes(settings.of_node(node)) for node in tasks}
    return specification, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": platform}}}}


def _renamed(specification: Document) -> Document:
    """Returns a copy whose components and executors are named as KFP's own compiler names them."""
    specification = copy.deepcopy(specification)
    components, executors = specification["components"], specification["deploymentSpec"]["executors"]
    specification["components"] = {}
    specification["deploymentSpec"]["executors"] = {}
    for node, task in specification["root"]["dag"]["tasks"].items():
        component = components[task["componentRef"]["name"]]
        label = component["executorLabel"]
        component["executorLabel"] = _EXECUTOR.format(node)
        task["componentRef"]["name"] = _COMPONENT.format(node)
        specification["components"][_COMPONENT.format(node)] = component
        specification["deploymentSpec"]["executors"][_EXECUTOR.format(node)] = executors[label]
    return specification


def _add_parameter(specification: Document, parameter: RunParameter) -> None:
    """Makes a parameter an input of the pipeline and of the tasks that it changes."""
    root = specification["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    root[parameter.name] = {
        "parameterType": parameter.type,
        "defaultValue": parameter.default,
        "isOptional": True,
        "description": parameter.description,
    }
    for node, path in parameter.paths.items():
        given = {"componentInputParameter": parameter.name}
        _add_input(specification, node, name=parameter.name, type_=parameter.type, given=given, path=path)


def _add_finding(specification: Document, finding: Finding) -> None:
    """Makes an output of Look an input of the tasks that it is for, which wait for it."""
    given = {"taskOutputParameter": {"producerTask": LOOK, "outputParameterKey": finding.name}}
    for node, path in finding.paths.items():
        _add_input(specification, node, name=finding.name, type_="STRING", given=given, path=path)
        task = specification["root"]["dag"]["tasks"][node]
        task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), LOOK})


def _add_input(
    specification: Document, node: str, *, name: str, type_: str, given: Document, path: str
) -> None:
    """Gives a task one more input, which the entry point puts in its place."""
    component = specification["components"][_COMPONENT.format(node)]
    task = specification["root"]["dag"]["tasks"][node]
    container = specification["deploymentSpec"]["executors"][_EXECUTOR.format(node)]["container"]
    inputs = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
    inputs[name] = {"parameterType": type_}
    values = task.setdefault("inputs", {}).setdefault("parameters", {})
    values[name] = copy.deepcopy(given)
    container["args"] += ["--run_parameter", f"{path}={name}"]


def _retry_policy(node: NodeSettings) -> Document:
    """Writes how often a node is tried again, and after which pauses.

    Argo counts the longest duration from the start of the first attempt, not of a pause, and makes it the
    deadline of the later ones: it must have room for all of them.
    """
    retries, timeout = node.retries or 0, (node.timeout_minutes or 0) * 60
    pauses = sum(_FIRST_PAUSE * _PAUSE_FACTOR**number for number in range(retries))
    return {
        "maxRetryCount": retries,
        "backoffDuration": f"{_FIRST_PAUSE}s",
        "backoffFactor": _PAUSE_FACTOR,
        "backoffMaxDuration": f"{timeout * (retries + 1) + pauses}s",
    }


def _resources(node: NodeSettings) -> Document:
    """Writes each amount twice, as KFP's SDK does: a number for old servers, a text for new ones."""
    resources: Document = {}
    if node.cpu:
        cores = float(node.cpu[:-1]) / 1000 if node.cpu.endswith("m") else float(node.cpu)
        resources |= {"cpuRequest": cores, "cpuLimit": cores}
        resources |= {"resourceCpuRequest": node.cpu, "resourceCpuLimit": node.cpu}
    if node.memory:
        gigabytes = _gigabytes(node.memory)
        resources |= {"memoryRequest": gigabytes, "memoryLimit": gigabytes}
        resources |= {"resourceMemoryRequest": node.memory, "resourceMemoryLimit": node.memory}
    if node.gpus:
        resources["accelerator"] = {
            "type": node.gpu_resource,
            "count": str(node.gpus),
            "resourceType": node.gpu_resource,
            "resourceCount": str(node.gpus),
        }
    return resources


def _gigabytes(memory: str) -> float:
    number, unit = re.findall(r"[\d.]+|[A-Za-z]+", memory)
    return float(number) * _UNITS[unit] / 10**9


def _kubernetes(node: NodeSettings) -> Document:
    config = kubernetes_pb2.KubernetesExecutorConfig()
    if node.node_selector:
        config.node_selector.labels.update(node.node_selector)
    if node.timeout_minutes:
        config.active_deadline_seconds = node.timeout_minutes * 60
    for toleration in node.tolerations or ():
        config.tolerations.add(**toleration.model_dump(exclude_none=True))
    if node.shared_memory:
        config.empty_dir_mounts.add(
            volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit=node.shared_memory
        )
    for volume in node.volumes or ():
        _mount(config, volume)
    for secret in node.secrets or ():
        _give(config, secret)
    document: Document = json_format.MessageToDict(config)
    return document


def _mount(config: kubernetes_pb2.KubernetesExecutorConfig, volume: Volume) -> None:
    """Names the claim twice, as KFP's SDK does: the first is for old servers."""
    mount = config.pvc_mount.add(constant=volume.claim, mount_path=volume.mount_path)
    mount.pvc_name_parameter.runtime_value.constant.string_value = volume.claim


def _give(config: kubernetes_pb2.KubernetesExecutorConfig, secret: Secret) -> None:
    if secret.mount_path:
        volume = config.secret_as_volume.add(secret_name=secret.name, mount_path=secret.mount_path)
        volume.secret_name_parameter.runtime_value.constant.string_value = secret.name
    if secret.variables:
        variables = config.secret_as_env.add(secret_name=secret.name)
        variables.secret_name_parameter.runtime_value.constant.string_value = secret.name
        for key, variable in sorted(secret.variables.items()):
            variables.key_to_env.add(secret_key=key, env_var=variable)
