"""Runs nodes of a compiled pipeline as KFP's launcher does, and tells which KFP's cache would have."""

import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config.loading import load_config
from pipeline.kubeflow import entrypoint
from pipeline.kubeflow.compiler import render_pipeline

REPOSITORY = pathlib.Path(__file__).parents[3]
DIGITS = REPOSITORY / "configs" / "digits.yaml"

Document = dict[str, Any]
Given = Mapping[str, Any]

_NOTHING: Given = MappingProxyType({})


@functools.cache
def compile_digits(*overrides: str) -> "Compiled":
    """Compiles the digits with other settings."""
    return Compiled(next(yaml.safe_load_all(render_pipeline(load_config(DIGITS, overrides=overrides)))))


@dataclasses.dataclass(frozen=True)
class Finished:
    """What became of a container: exit code, messages, and the ExecutorOutput, empty if there is none."""

    code: int
    out: str
    err: str
    output: Document

    @property
    def parameters(self) -> dict[str, str]:
        """The output parameters."""
        return self.output["parameterValues"]


def output_file(invocation: Document) -> pathlib.Path:
    """Where a container leaves its ExecutorOutput."""
    return pathlib.Path(invocation["outputs"]["outputFile"])


def read_output(invocation: Document) -> Document:
    """The ExecutorOutput of a container; empty if there is none."""
    file = output_file(invocation)
    output = json.loads(file.read_text()) if file.is_file() else {}
    json_format.ParseDict(output, pipeline_spec_pb2.ExecutorOutput())
    return output


@dataclasses.dataclass(frozen=True, eq=False)
class Compiled:
    """A pipeline specification."""

    specification: Document

    @property
    def tasks(self) -> Document:
        """The tasks by their names."""
        return self.specification["root"]["dag"]["tasks"]

    def component(self, node: str) -> Document:
        """The component of a task."""
        return self.specification["components"][self.tasks[node]["componentRef"]["name"]]

    def container(self, node: str) -> Document:
        """The container of a task."""
        return self.specification["deploymentSpec"]["executors"][f"exec-{node}"]["container"]

    def values(self, node: str, *, told: Given, given: Given) -> Document:
        """The input parameters of a task, as KFP's driver resolves them.

        Args:
          node: The task.
          told: The output parameters of Look.
          given: The parameters of the run; of others the default counts.
        """
        defaults = self.specification["root"]["inputDefinitions"]["parameters"]

        def resolve(source: Document) -> Any:
            if "runtimeValue" in source:
                return source["runtimeValue"]["constant"]
            if "componentInputParameter" in source:
                name = source["componentInputParameter"]
                return given.get(name, defaults[name]["defaultValue"])
            return told[source["taskOutputParameter"]["outputParameterKey"]]

        inputs = self.tasks[node].get("inputs", {}).get("parameters", {})
        return {name: resolve(source) for name, source in inputs.items()}

    def exec_properties(self, node: str, *, told: Given, given: Given) -> Document:
        """What an executor is given, with the parameters of the run in their places; see `values`."""
        options = itertools.pairwise(self.container(node)["args"])
        return entrypoint.translate(
            {"inputs": {"parameterValues": self.values(node, told=told, given=given)}, "outputs": {}},
            inputs={},
            run_parameters=[value for option, value in options if option == "--run_parameter"],
            mounts="/",
        )["inputs"]["parameterValues"]

    def run(
        self,
        node: str,
        directory: pathlib.Path,
        *,
        run: str,
        given: Given = _NOTHING,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> Finished:
        """Runs a task that needs no other before it in a process of its own, as KFP hands over and takes.

        All of that is parsed strictly.

        Args:
          node: The task.
          directory: Where the launcher mounts its stores.
          run: The id of the run.
          given: See `values`.
          options: Of Python.
          prefix: The command that starts it.
        """
        invocation = self._invocation(
            node, directory, run=run, told=_NOTHING, given=given, artifacts=_NOTHING
        )
        program = [*prefix, sys.executable, *options, *self.container(node)["command"][1:]]
        ended = subprocess.run(
            [*program, *self._arguments(node, invocation, directory=directory)],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
            timeout=120,
        )
        return Finished(ended.returncode, ended.stdout, ended.stderr, read_output(invocation))

    def run_here(
        self,
        node: str,
        directory: pathlib.Path,
        *,
        run: str,
        told: Given = _NOTHING,
        given: Given = _NOTHING,
        artifacts: Given = _NOTHING,
    ) -> Finished:
        """Runs a task in this process, which takes no second to start; see `run`."""
        invocation = self._invocation(node, directory, run=run, told=told, given=given, artifacts=artifacts)
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = entrypoint.run(self._arguments(node, invocation, directory=directory))
        return Finished(code, out.getvalue(), err.getvalue(), read_output(invocation))

    def _invocation(
        self,
        node: str,
        directory: pathlib.Path,
        *,
        run: str,
        told: Given,
        given: Given,
        artifacts: Given,
    ) -> Document:
        """KFP's ExecutorInput; what an earlier task has put out is removed."""
        outputs = self.component(node)["outputDefinitions"]
        place = f"minio://mlpipeline/v2/artifacts/digits/{run}/{node}/a4963ae8"
        types = {name: each["artifactType"] for name, each in outputs["artifacts"].items()}
        types["executor-logs"] = {"schemaTitle": "system.Artifact"}
        invocation = {
            "inputs": {
                "parameterValues": self.values(node, told=told, given=given),
                "artifacts": dict(artifacts),
            },
            "outputs": {
                "artifacts": {
                    name: {"artifacts": [{"uri": f"{place}/{name}", "type": type_}]}
                    for name, type_ in types.items()
                },
                "parameters": {
                    name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})
                },
                "outputFile": str(directory / "outputs" / "output_metadata.json"),
            },
        }
        json_format.ParseDict(invocation, pipeline_spec_pb2.ExecutorInput())
        output_file(invocation).unlink(missing_ok=True)
        return invocation

    def _arguments(self, node: str, invocation: Document, *, directory: pathlib.Path) -> list[str]:
        text = json.dumps(invocation)
        arguments = [text if each == "{{$}}" else each for each in self.container(node)["args"]]
        return [*arguments, "--mounts", str(directory)]

    def cache_keys(self, *, told: Given, given: Given = _NOTHING) -> dict[str, str]:
        """What decides by which name KFP's cache knows each cached task, as its `GenerateCacheKey` has it.

        These are the ids of the input artifacts, the input parameters, the outputs and the container. An
        artifact from the cache keeps its id, so that it follows from the key of the task that made it.
        """
        keys: dict[str, str] = {}

        def key_of(node: str) -> str:
            if node not in keys:
                sources = self.tasks[node].get("inputs", {}).get("artifacts", {})
                container = self.container(node)
                content = {
                    "artifacts": {
                        name: [
                            key_of(source["taskOutputArtifact"]["producerTask"]),
                            source["taskOutputArtifact"]["outputArtifactKey"],
                        ]
                        for name, source in sources.items()
                    },
                    "parameters": self.values(node, told=told, given=given),
                    "outputs": self.component(node)["outputDefinitions"],
                    "container": [container["image"], container["command"], container["args"]],
                }
                digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
                keys[node] = digest.hexdigest()
            return keys[node]

        cached = [node for node, task in self.tasks.items() if task["cachingOptions"]["enableCache"]]
        return {node: key_of(node) for node in cached}
