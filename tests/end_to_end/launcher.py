"""Nodes that are started as on a cluster, by KFP's own local orchestrator."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from kfp import components, local
from kfp.local import subprocess_task_handler

from pipeline.config.nodes import LOOK

A_STRANGER = 54321


@contextlib.contextmanager
def orchestrating(monkeypatch: pytest.MonkeyPatch) -> Iterator["Launcher"]:
    """Makes KFP's local orchestrator start nodes by a launcher, whose bucket is empty at first."""
    with tempfile.TemporaryDirectory() as directory:
        mounts = pathlib.Path(directory)
        mounts.chmod(0o777)
        launcher = Launcher(mounts=mounts)
        monkeypatch.setattr(subprocess_task_handler, "run_local_subprocess", launcher.launch)
        for check in ("validate_not_container_component", "validate_not_containerized_python_component"):
            monkeypatch.setattr(subprocess_task_handler.SubprocessTaskHandler, check, lambda *_: None)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(launcher.bucket))
        yield launcher


class Launcher:
    """Starts a node as KFP's launcher does on a cluster, whose bucket is a directory here; and a cache."""

    def __init__(self, *, mounts: pathlib.Path) -> None:
        self.bucket = mounts / "minio" / "bucket"
        self.logs: dict[str, str] = {}
        self.mounts = mounts
        self._cache: dict[str, str] = {}
        self._environment = os.environ | {"HOME": str(mounts)}
        self._user = self._somebody()

    def _somebody(self) -> int | None:
        """A user whom the system does not know, if this test may choose one and Python is open to all."""
        if os.geteuid() != 0:
            return None
        try:
            subprocess.run([sys.executable, "-c", ""], user=A_STRANGER, check=True)
        except (PermissionError, subprocess.CalledProcessError):
            return None
        return A_STRANGER

    def launch(self, full_command: list[str]) -> int:
        """Takes the place of KFP's `run_local_subprocess`."""
        position = full_command.index("--json_serialized_invocation_args") + 1
        invocation = self._shaped(json.loads(full_command[position]))
        command = [*full_command, "--mounts", str(self.mounts)]
        command[position] = json.dumps(invocation)
        output_file = pathlib.Path(invocation["outputs"]["outputFile"])
        outputs = sorted(invocation["outputs"]["artifacts"])
        others = [*full_command[: position - 1], *full_command[position + 1 :]]
        key = json.dumps([invocation["inputs"], outputs, others], sort_keys=True)
        if key in self._cache and output_file.parent.name != LOOK:
            output_file.parent.mkdir(parents=True, exist_ok=True)
            output_file.write_text(self._cache[key])
            return 0
        result = subprocess.run(
            command,
            cwd="/",
            env=self._environment,
            user=self._user,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-5000:]
        output = output_file.read_text()
        assert set(json.loads(output)["artifacts"]) == set(invocation["outputs"]["artifacts"]) - {
            "executor-logs"
        }
        assert str(self.bucket) not in output
        self._cache[key] = output.replace("minio://bucket/", f"{self.bucket}/")
        output_file.write_text(self._cache[key])
        assert output_file.parent.name not in self.logs
        self.logs[output_file.parent.name] = result.stdout
        return result.returncode

    def run(self, pipeline: pathlib.Path, **parameters: Any) -> None:
        """Runs a compiled pipeline by KFP's own local orchestrator."""
        components.load_component_from_file(str(pipeline))(**parameters)

    def evaluation(self) -> dict[str, Any]:
        """Returns what the Evaluator found in the one run."""
        (evaluation,) = self.bucket.glob("*/Evaluator/evaluation/evaluation.json")
        return json.loads(evaluation.read_text())

    def _shaped(self, invocation: dict[str, Any]) -> dict[str, Any]:
        """Inputs without types, URIs of the object store, and an output for the logs."""
        for side in ("inputs", "outputs"):
            for found in invocation[side].get("artifacts", {}).values():
                for artifact in found["artifacts"]:
                    artifact["uri"] = artifact["uri"].replace(f"{self.bucket}/", "minio://bucket/")
                    if side == "inputs":
                        del artifact["type"]
        logs = {"type": {"schemaTitle": "system.Artifact"}, "uri": "minio://bucket/executor-logs"}
        invocation["outputs"].setdefault("artifacts", {})["executor-logs"] = {"artifacts": [logs]}
        return invocation
