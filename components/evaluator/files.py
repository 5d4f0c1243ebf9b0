"""The files of an evaluation."""

import pathlib
from typing import Any

from components.files import read_json

EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"


def read_history(model_run: str) -> dict[str, Any]:
    """Reads the history of a training from the directory of its `model_run` artifact."""
    return read_json(pathlib.Path(model_run, "history.json"))
