"""The command line, as a user calls it."""

import json
import pathlib
import subprocess
import sys
from typing import Any

REPOSITORY = pathlib.Path(__file__).parents[2]
NODES = [
    "ExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "Teacher",
    "Scratch",
    "TeacherPredictions",
    "Distiller-distilled",
    "Evaluator",
    "Pusher",
]
QUICK_DIGITS = [
    "--set",
    "teacher.epochs=20",  # After fewer, of 17 steps each, it is not much better than a student.
    "--set",
    "student.epochs=10",
    "--set",
    "evaluation.min_accuracy=0.5",
]


def distill(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)


def run(config: str, workspace: pathlib.Path, *arguments: object) -> tuple[dict[str, Any], str]:
    """Runs a configuration to its end; returns the summary and what was printed."""
    result = distill("run", REPOSITORY / "configs" / config, "--workspace", workspace, *arguments)
    log = workspace / "run.log"
    assert result.returncode == 0, result.stdout + result.stderr + log.read_text()[-5000:]
    return json.loads((workspace / "summary.json").read_text()), result.stdout


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {node: entry["state"] for node, entry in summary["nodes"].items()}
