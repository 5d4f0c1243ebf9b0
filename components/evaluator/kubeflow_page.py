"""An evaluation as the artifacts that the page of Kubeflow Pipelines draws."""

from collections.abc import Iterator, Mapping

from tfx.types import Artifact

from components.artifacts import SystemClassificationMetrics, SystemHtml, SystemMarkdown, SystemMetrics
from components.layout import MARKDOWN_FILE, REPORT_FILE
from components.metrics import METRICS
from components.report.markdown import to_markdown
from components.report.summary import Evaluation
from components.storage.files import is_folder, write_text
from components.storage.uri import is_remote, join

OUTPUTS: dict[str, type[Artifact]] = {
    "metrics": SystemMetrics,
    "confusion_matrix": SystemClassificationMetrics,
    "report": SystemHtml,
    "overview": SystemMarkdown,
}


def publish(outputs: Mapping[str, Artifact], *, evaluation: Evaluation, page: str) -> None:
    """Fills the artifacts that the page of Kubeflow Pipelines draws.

    Args:
      outputs: An artifact for each key of `OUTPUTS`.
      evaluation: What was measured and decided.
      page: The report.
    """
    _fill_metrics(outputs["metrics"], evaluation)
    _fill_confusion_matrix(outputs["confusion_matrix"], evaluation)
    write_text(_file(outputs["report"], name=REPORT_FILE), page)
    write_text(_file(outputs["overview"], name=MARKDOWN_FILE), to_markdown(evaluation))


def _fill_metrics(artifact: Artifact, evaluation: Evaluation) -> None:
    """Gives an artifact the known numbers of each model, such as `scratch_accuracy`."""
    for name, number in _numbers(evaluation):
        if number is not None:
            artifact.set_float_custom_property(name, number)


def _numbers(evaluation: Evaluation) -> Iterator[tuple[str, float | None]]:
    yield "blessed", float(evaluation.blessed)
    yield "gap_closed", evaluation.gap_closed[evaluation.candidate].estimate
    for name, model in evaluation.models.items():
        for metric in METRICS:
            yield f"{name}_{metric.name}", model.metric(metric)
        yield f"{name}_parameters", model.parameters
        yield f"{name}_size_bytes", model.size_bytes
        yield f"{name}_latency_ms", model.latency_ms.median if model.latency_ms else None


def _fill_confusion_matrix(artifact: Artifact, evaluation: Evaluation) -> None:
    """Gives an artifact the confusion matrix of the candidate in the form in which Kubeflow reads it."""
    content = {
        "annotationSpecs": [{"displayName": name} for name in evaluation.class_names],
        "rows": [{"row": list(row)} for row in evaluation.student.confusion_matrix],
    }
    artifact.set_json_value_custom_property("confusionMatrix", content)


def _file(artifact: Artifact, *, name: str) -> str:
    """Returns where to write: to Kubeflow the URI is a file, TFX's local runners make a directory of it."""
    uri: str = artifact.uri
    # In an object store they make none; Kubeflow's launcher gives paths on its machine.
    return join(uri, name) if is_remote(uri) or is_folder(uri) else uri
