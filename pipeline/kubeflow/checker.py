"""Finds what open-source Kubeflow Pipelines would refuse, or silently get wrong, without a cluster."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

Document = dict[str, Any]

_SCHEMA_VERSION = "2.1.0"
_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_PIPELINE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def check(specification: Document, platform: Document) -> None:
    """Raises an error that lists all that is wrong; see `find_problems`.

    Raises:
      ValueError: Kubeflow Pipelines would not run this.
    """
    problems = find_problems(specification, platform)
    if problems:
        raise ValueError("Kubeflow Pipelines would refuse this pipeline: " + "; ".join(problems))


def find_problems(specification: Document, platform: Document) -> list[str]:
    """Looks for what the backend of open-source Kubeflow Pipelines refuses or ignores.

    Args:
      specification: The first document of the file, the pipeline specification.
      platform: The second, the platform specification.

    Returns:
      A line for each problem; none if all is well.
    """
    if "pipelineSpec" in specification:
        return ["it is a PipelineJob; the server takes the pipelineSpec inside it"]
    problems = [*_unparsable(specification, platform)]
    if problems:
        return problems
    return [
        *_header(specification),
        *_executors(specification, platform),
        *_inputs(specification),
        *(
            problem
            for name, task in _tasks(specification).items()
            for problem in _task(specification, name, task)
        ),
    ]


def _tasks(specification: Document) -> Document:
    tasks: Document = specification["root"]["dag"]["tasks"]
    return tasks


def _unparsable(specification: Document, platform: Document) -> Iterator[str]:
    """Parses strictly: an unknown field is a problem."""
    try:
        json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(specification["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    except (json_format.ParseError, KeyError) as error:
        yield f"the pipeline specification cannot be parsed: {error}"
    try:
        for config in _kubernetes_executors(platform).values():
            json_format.ParseDict(config, kubernetes_pb2.KubernetesExecutorConfig())
    except (json_format.ParseError, KeyError) as error:
        yield f"the platform specification cannot be parsed: {error}"


def _kubernetes_executors(platform: Document) -> Document:
    executors: Document = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return executors


def _header(specification: Document) -> Iterator[str]:
    version = specification.get("schemaVersion")
    if version != _SCHEMA_VERSION:
        yield f"the schema version is {version!r}, not {_SCHEMA_VERSION!r}"
    name = specification.get("pipelineInfo", {}).get("name", "")
    if not _PIPELINE_NAME.fullmatch(name):
        yield f"the pipeline's name {name!r} is not of small letters, digits and hyphens"
    if not specification.get("defaultPipelineRoot"):
        yield "there is no default pipeline root"


def _executors(specification: Document, platform: Document) -> Iterator[str]:
    executors = specification["deploymentSpec"]["executors"]
    for label, executor in executors.items():
        if "container" not in executor:
            yield f"{label}: only containers run, not {', '.join(executor) or 'nothing'}"
            continue
        if "lifecycle" in executor["container"]:
            yield f"{label}: a lifecycle is ignored"
        if not executor["container"].get("image"):
            yield f"{label}: there is no image"
    for label in _kubernetes_executors(platform):
        if label not in executors:
            yield f"{label}: is in the platform specification alone"


def _inputs(specification: Document) -> Iterator[str]:
    """Checks what a run may change."""
    for name, definition in _definitions(specification["root"], "inputDefinitions", "parameters").items():
        if "defaultValue" not in definition:
            yield f"the parameter {name} has no default"
        elif not _fits(definition["defaultValue"], definition["parameterType"]):
            yield f"the default of {name} is no {definition['parameterType']}"


def _definitions(component: Document, side: str, kind: str) -> Document:
    definitions: Document = component.get(side, {}).get(kind, {})
    return definitions


def _fits(value: Any, parameter_type: str) -> bool:
    if isinstance(value, bool) and parameter_type != "BOOLEAN":
        return False
    if parameter_type == "NUMBER_INTEGER" and isinstance(value, float) and not value.is_integer():
        return False
    return isinstance(value, _TYPES.get(parameter_type, ()))


def _task(specification: Document, name: str, task: Document) -> Iterator[str]:
    if not _TASK_NAME.fullmatch(name):
        yield f"{name}: a task's name must be of letters, digits and hyphens"
    component = specification["components"].get(task["componentRef"]["name"])
    if component is None:
        yield f"{name}: there is no component {task['componentRef']['name']}"
        return
    if component.get("executorLabel") not in specification["deploymentSpec"]["executors"]:
        yield f"{name}: there is no executor {component.get('executorLabel')}"
    if "triggerPolicy" in task:
        yield f"{name}: conditions and exit handlers are not of this pipeline's kind"
    for upstream in task.get("dependentTasks", []):
        if upstream not in _tasks(specification):
            yield f"{name}: waits for {upstream}, which is no task"
    yield from _artifacts(specification, name, task, component)
    yield from _parameters(specification, name, task, component)


def _artifacts(specification: Document, name: str, task: Document, component: Document) -> Iterator[str]:
    given = task.get("inputs", {}).get("artifacts", {})
    for key, definition in _definitions(component, "inputDefinitions", "artifacts").items():
        source = given.get(key, {}).get("taskOutputArtifact")
        if source is None:
            if not definition.get("isOptional"):
                yield f"{name}: nothing produces the artifact {key}"
            continue
        producer = _tasks(specification).get(source["producerTask"])
        if producer is None:
            yield f"{name}: the artifact {key} comes from {source['producerTask']}, which is no task"
        elif source["outputArtifactKey"] not in _definitions(
            specification["components"][producer["componentRef"]["name"]], "outputDefinitions", "artifacts"
        ):
            yield f"{name}: {source['producerTask']} has no output {source['outputArtifactKey']}"


def _parameters(specification: Document, name: str, task: Document, component: Document) -> Iterator[str]:
    given = task.get("inputs", {}).get("parameters", {})
    of_run = _definitions(specification["root"], "inputDefinitions", "parameters")
    for key, definition in _definitions(component, "inputDefinitions", "parameters").items():
        value = given.get(key)
        if value is None:
            if not definition.get("isOptional") and "defaultValue" not in definition:
                yield f"{name}: the parameter {key} has no value"
        elif "componentInputParameter" in value:
            source = of_run.get(value["componentInputParameter"])
            if source is None:
                yield f"{name}: the pipeline has no parameter {value['componentInputParameter']}"
            elif source["parameterType"] != definition["parameterType"]:
                yield f"{name}: the parameter {key} is no {source['parameterType']}"
        elif "taskOutputParameter" in value:
            yield from _told(specification, name, key, definition, value["taskOutputParameter"])
        elif "runtimeValue" in value:
            if not _fits(value["runtimeValue"].get("constant"), definition["parameterType"]):
                yield f"{name}: the parameter {key} is no {definition['parameterType']}"
        else:
            yield f"{name}: the parameter {key} comes from {', '.join(value) or 'nothing'}"


def _told(
    specification: Document, name: str, key: str, definition: Document, source: Document
) -> Iterator[str]:
    """Checks a parameter that another task puts out; without waiting for that there would be no value."""
    producer = _tasks(specification).get(source["producerTask"])
    if producer is None:
        yield f"{name}: the parameter {key} comes from {source['producerTask']}, which is no task"
        return
    told = _definitions(
        specification["components"][producer["componentRef"]["name"]], "outputDefinitions", "parameters"
    ).get(source["outputParameterKey"])
    if told is None:
        yield f"{name}: {source['producerTask']} has no output parameter {source['outputParameterKey']}"
    elif told["parameterType"] != definition["parameterType"]:
        yield f"{name}: the parameter {key} is no {told['parameterType']}"
    if source["producerTask"] not in _tasks(specification)[name].get("dependentTasks", []):
        yield f"{name}: does not wait for {source['producerTask']}, which puts out the parameter {key}"
