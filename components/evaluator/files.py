"""The files of an evaluation."""

import pathlib
from typing import Any

from components.files import read_json

# What was measured and decided; `summary.schema.json` says what it holds. Written last.
EVALUATION_FILE = "evaluation.json"
# `{"images": [...]}`: test images on which the models differ, with the pictures themselves:
# `{"id", "label", "predictions": {model: {"class", "probability"}}, "image": "data:image/png;base64,..."}`.
DISAGREEMENTS_FILE = "disagreements.json"
# The id, the label and what each model says of every test image.
OUTCOMES_FILE = "outcomes.parquet"
# The verdict, for `tfma.load_validation_result`.
VALIDATION_FILE = "validations-00000-of-00001.tfrecord"
REPORT_FILE = "report.html"

SCHEMA_FILE = pathlib.Path(__file__).with_name("summary.schema.json")


def read_history(model_run: str) -> dict[str, Any]:
    """Reads the history of a training from the directory of its `model_run` artifact."""
    return read_json(pathlib.Path(model_run, "history.json"))


def read_disagreements(evaluation: str) -> list[dict[str, Any]]:
    """Reads the images on which the models differ from the directory of an `evaluation` artifact."""
    return read_json(pathlib.Path(evaluation, DISAGREEMENTS_FILE))["images"]
