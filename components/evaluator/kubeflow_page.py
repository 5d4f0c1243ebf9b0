"""An evaluation as the artifacts that the page of Kubeflow Pipelines draws."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfx.types import Artifact

from components.artifacts import SystemClassificationMetrics, SystemHtml, SystemMarkdown, SystemMetrics
from components.files import write_text
from components.layout import MARKDOWN_FILE, REPORT_FILE
from components.report.markdown import to_markdown

OUTPUTS: dict[str, type[Artifact]] = {
    "metrics": SystemMetrics,
    "confusion_matrix": SystemClassificationMetrics,
    "report": SystemHtml,
    "overview": SystemMarkdown,
}
# Of each model; in the order of the page.
_METRICS = (
    "accuracy",
    "cross_entropy",
    "expected_calibration_error",
    "macro_f1",
    "agreement_with_teacher",
    "parameters",
    "size_bytes",
)


def publish(outputs: Mapping[str, Artifact], *, summary: Mapping[str, Any], page: str) -> None:
    """Fills the artifacts that the page of Kubeflow Pipelines draws.

    Args:
      outputs: An artifact for each key of `OUTPUTS`.
      summary: The content of `evaluation.json`.
      page: The report.
    """
    _fill_metrics(outputs["metrics"], summary)
    _fill_confusion_matrix(outputs["confusion_matrix"], summary)
    write_text(_file(outputs["report"], name=REPORT_FILE), page)
    write_text(_file(outputs["overview"], name=MARKDOWN_FILE), to_markdown(summary))


def _fill_metrics(artifact: Artifact, summary: Mapping[str, Any]) -> None:
    """Gives an artifact the known numbers of each model, such as `scratch_accuracy`."""
    for name, number in _numbers(summary):
        if number is not None:
            artifact.set_float_custom_property(name, number)


def _numbers(summary: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    candidate = summary["candidate"]
    yield "blessed", float(summary["blessed"])
    yield "gap_closed", summary["gap_closed"][candidate]["estimate"]
    for name, model in summary["models"].items():
        for key in _METRICS:
            yield f"{name}_{key}", model[key]
        yield f"{name}_latency_ms", (model["latency_ms"] or {}).get("median")


def _fill_confusion_matrix(artifact: Artifact, summary: Mapping[str, Any]) -> None:
    """Gives an artifact the confusion matrix of the candidate in the form in which Kubeflow reads it."""
    matrix = summary["models"][summary["candidate"]]["confusion_matrix"]
    content = {
        "annotationSpecs": [{"displayName": name} for name in summary["class_names"]],
        "rows": [{"row": row} for row in matrix],
    }
    artifact.set_json_value_custom_property("confusionMatrix", content)


def _file(artifact: Artifact, *, name: str) -> pathlib.Path:
    """Returns where to write: to Kubeflow the URI is a file, TFX's local runners make a directory of it."""
    path = pathlib.Path(artifact.uri)
    if path.is_dir():
        return path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
