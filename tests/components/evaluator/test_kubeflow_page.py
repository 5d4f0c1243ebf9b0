"""The artifacts that Kubeflow Pipelines draws, filled, stored by TFX's local runner, and compiled."""

import json
import pathlib

import pytest
from ml_metadata import proto
from ml_metadata.metadata_store import MetadataStore
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import artifact_utils

from components.artifacts import SystemClassificationMetrics, SystemHtml, SystemMarkdown, SystemMetrics
from components.evaluator.kubeflow_page import OUTPUTS, publish
from components.metrics import METRICS, TOP_K_ACCURACY
from components.report.markdown import to_markdown
from components.report.summary import Evaluation, Run

TESTS = pathlib.Path(__file__).parents[2]
EXAMPLE = TESTS / "example_summary.json"


@component
def Publisher(
    metrics: OutputArtifact[SystemMetrics],
    confusion_matrix: OutputArtifact[SystemClassificationMetrics],
    report: OutputArtifact[SystemHtml],
    overview: OutputArtifact[SystemMarkdown],
):
    outputs = {
        "metrics": metrics,
        "confusion_matrix": confusion_matrix,
        "report": report,
        "overview": overview,
    }
    publish(outputs, evaluation=read(json.loads(EXAMPLE.read_text())), page="<!DOCTYPE html>")


def read(summary):
    """Reads the part of a summary that the Evaluator writes."""
    content = {key: value for key, value in summary.items() if key not in Run.model_fields}
    return Evaluation.model_validate(content)


@pytest.fixture
def summary():
    return json.loads(EXAMPLE.read_text())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The artifacts as ML Metadata has them after a run of TFX's local runner, by the name of their type."""
    folder = tmp_path_factory.mktemp("run")
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="publish",
            pipeline_root=str(folder / "artifacts"),
            components=[Publisher()],
            metadata_connection_config=connection,
        )
    )
    store = MetadataStore(connection)
    types = {each.id: each for each in store.get_artifact_types()}
    return {
        types[each.type_id].name: artifact_utils.deserialize_artifact(types[each.type_id], each)
        for each in store.get_artifacts()
        if each.state == proto.Artifact.LIVE
    }


@pytest.fixture
def outputs(tmp_path):
    """The artifacts as they are where nobody made a directory for them."""
    made = {key: kind() for key, kind in OUTPUTS.items()}
    for key, artifact in made.items():
        artifact.uri = str(tmp_path / "outputs" / key)
    return made


def metadata_for_kubeflow(artifact):
    """What TFX's entrypoint on Kubeflow reports of an artifact."""
    return kubeflow_v2_entrypoint_utils.to_runtime_artifact(artifact, {}).metadata


def test_metrics_are_numbers_by_model_and_name(stored):
    metrics = metadata_for_kubeflow(stored["system.Metrics"])
    assert metrics["blessed"] == 0
    assert metrics["kd_t2_accuracy"] == 0.93
    assert metrics["gap_closed"] == 0.43
    assert metrics["teacher_latency_ms"] == 2.1
    assert metrics["kd_t8_parameters"] == 1210
    for metric in METRICS:
        assert (f"scratch_{metric.name}" in metrics) == (metric is not TOP_K_ACCURACY)  # Of three classes.


def test_unknown_numbers_are_left_out(outputs, summary):
    summary["gap_closed"]["kd_t2"]["estimate"] = None
    summary["models"]["scratch"] |= {"accuracy": None, "latency_ms": None}
    publish(outputs, evaluation=read(summary), page="")
    metrics = outputs["metrics"]
    assert not metrics.has_custom_property("gap_closed")
    assert not metrics.has_custom_property("scratch_accuracy")
    assert not metrics.has_custom_property("scratch_latency_ms")
    assert metrics.get_float_custom_property("teacher_accuracy") == 0.97


def test_the_confusion_matrix_is_the_candidate_s_in_kubeflow_s_own_form(stored):
    matrix = metadata_for_kubeflow(stored["system.ClassificationMetrics"])["confusionMatrix"]
    assert [each["displayName"] for each in matrix["annotationSpecs"]] == ["ant", "bee", "cat"]
    assert [list(each["row"]) for each in matrix["rows"]] == [[93, 4, 3], [3, 93, 4], [4, 3, 93]]


def test_pages_lie_in_the_directory_that_the_local_runner_made(stored):
    assert pathlib.Path(stored["system.HTML"].uri, "report.html").read_text() == "<!DOCTYPE html>"
    text = pathlib.Path(stored["system.Markdown"].uri, "summary.md").read_text()
    assert text.startswith("**Not blessed.** The student 'kd\\_t2' is not blessed")


def test_pages_are_files_where_nobody_made_a_directory(outputs, summary):
    publish(outputs, evaluation=read(summary), page="<!DOCTYPE html>")
    assert pathlib.Path(outputs["report"].uri).read_text() == "<!DOCTYPE html>"
    assert pathlib.Path(outputs["overview"].uri).read_text() == to_markdown(read(summary))


def test_they_compile_to_the_types_that_kubeflow_draws():
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
            default_image="image", use_pipeline_spec_2_1=True
        )
    )
    pipeline = tfx.dsl.Pipeline(pipeline_name="publish", pipeline_root="root", components=[Publisher()])
    specification = runner.run(pipeline, write_out=False)["pipelineSpec"]
    (compiled,) = specification["components"].values()
    schemas = {
        key: output["artifactType"]["instanceSchema"]
        for key, output in compiled["outputDefinitions"]["artifacts"].items()
    }
    titles = dict(zip(OUTPUTS, ("Metrics", "ClassificationMetrics", "HTML", "Markdown"), strict=True))
    for key, title in titles.items():
        assert f"title: system.{title}\n" in schemas[key]


def test_markdown_shows_models_and_gates_and_takes_no_name_for_markup(summary):
    hostile = json.loads(json.dumps(summary).replace("kd_t2", "a|<b>"))
    hostile["warnings"] = ["Something is *odd*."]
    lines = to_markdown(read(hostile)).splitlines()
    assert "**Note:** Something is \\*odd\\*." in lines
    (row,) = (line for line in lines if line.startswith("| a\\|\\<b\\> "))
    assert "| 93.0\N{NO-BREAK SPACE}% | 0.1840 |" in row
    assert "| size |  | all | at most 1.00\N{NO-BREAK SPACE}MB | 44.84\N{NO-BREAK SPACE}kB | yes |" in lines
    cells = [len(line.replace("\\|", "").split("|")) for line in lines if line.startswith("|")]
    assert len(set(cells)) == 4  # Models, gates, drift and duplicates.


def test_markdown_shows_drift_and_duplicates(summary):
    lines = to_markdown(read(summary)).splitlines()
    assert "### Data: drift and duplicates" in lines
    assert "| brightness | yes | mean 118.3 before, 61.0 now | \\< 0.001 | 0.412 |" in lines
    assert (
        "| label | no | bee: 33.0\N{NO-BREAK SPACE}% before, 34.5\N{NO-BREAK SPACE}% now | 0.610 | 0.031 |"
        in lines
    )
    assert "| validation | 300 | 0 | 0 |" in lines
    assert "| test | 300 | 1 | 2 |" in lines
    summary["data_check"]["drift"] = None
    assert "Jensen-Shannon" not in to_markdown(read(summary))
    summary["data_check"] = None
    assert "drift" not in to_markdown(read(summary))
