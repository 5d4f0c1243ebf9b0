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
    return subprocess.run(
        command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
    )


def start(*arguments: object) -> "subprocess.Popen[str]":
    """Starts it, with errors in its output, and does not wait for it."""
    return subprocess.Popen(
        command(*arguments),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def command(*arguments: object) -> list[str]:
    """Returns what starts it."""
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def run(config: str, workspace: pathlib.Path, *arguments: object) -> tuple[dict[str, Any], str]:
    """Runs a configuration to its end; returns the summary and what was printed."""
    result = distill("run", REPOSITORY / "configs" / config, "--workspace", workspace, *arguments)
    log = workspace / "run.log"
    assert result.returncode == 0, result.stdout + result.stderr + log.read_text()[-5000:]
    return json.loads((workspace / "summary.json").read_text()), result.stdout


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {node: entry["state"] for node, entry in summary["nodes"].items()}
