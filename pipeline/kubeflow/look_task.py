"""The task of the node Look in a pipeline specification: it is no component of TFX's."""

import copy
import json
from collections.abc import Iterable
from typing import Any

from pipeline.config.experiment import Config
from pipeline.config.nodes import LOOK
from pipeline.kubeflow.findings import PAGE, TICK, Finding

Document = dict[str, Any]

_EXECUTOR = f"{LOOK}_executor"
_MARKDOWN = {"artifactType": {"schemaTitle": "system.Markdown", "schemaVersion": "0.0.1"}}


def with_look(
    specification: Document,
    *,
    config: Config,
    image: str,
    command: Iterable[str],
    findings: Iterable[Finding],
) -> Document:
    """Returns a specification with the task that looks what is new.

    Args:
      specification: TFX's pipeline specification; it is left as it is.
      config: The experiment.
      image: The container image of the task.
      command: What its container runs.
      findings: What it tells the other nodes.
    """
    specification = copy.deepcopy(specification)
    specification["components"][LOOK] = {
        "executorLabel": _EXECUTOR,
        "inputDefinitions": {"parameters": {"configuration": _text()}},
        "outputDefinitions": {
            "artifacts": {PAGE: _MARKDOWN},
            "parameters": {name: _text() for name in (*(each.name for each in findings), TICK)},
        },
    }
    specification["deploymentSpec"]["executors"][_EXECUTOR] = {
        "container": {
            "image": image,
            "command": list(command),
            "args": ["--look", "--json_serialized_invocation_args", "{{$}}"],
        }
    }
    constant = json.dumps(config.to_record())
    specification["root"]["dag"]["tasks"][LOOK] = {
        "taskInfo": {"name": LOOK},
        "componentRef": {"name": LOOK},
        "inputs": {"parameters": {"configuration": {"runtimeValue": {"constant": constant}}}},
    }
    return specification


def _text() -> Document:
    """Returns the definition of a text, a new one each time: YAML would make a reference of the same."""
    return {"parameterType": "STRING"}
