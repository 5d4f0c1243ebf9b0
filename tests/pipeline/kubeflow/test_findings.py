"""Whether all that Look finds reaches the nodes that depend on it, in every shape of the graph."""

import json
import pathlib

import pytest
from compiled import compile_digits

from components.settings.models import PredictionsImport, TeacherImport
from components.settings.training import TrainingJob

GOLDEN = pathlib.Path(__file__).with_name("golden")
TRAINED = "{architecture: digits_teacher, epochs: 3, batch_size: 32, learning_rate: 0.001}"
SHAPES = {
    "spans": ("data={source: image_folder, path: '/data/{SPAN}'}",),
    "retraining": ("retraining={student_start: champion, keep_teacher: {min_accuracy: 0.9}}",),
    "several teachers": (f"teacher=[{{from: /one.keras}}, {TRAINED}]",),
    "outside": ("teacher={predictions: /one.npz}",),
    "ONNX": ("teacher={from: /one.onnx}",),
    "unlabelled": (
        "data={source: image_folder, path: /data, labels: false}",
        "teacher={from: /one.keras}",
        "distillations=[{name: distilled, method: kd, student_loss_weight: 0}]",
        "evaluation={against_scratch: any}",
    ),
    "search": ("distillations.0.temperature=[2, 4]",),
    "halving": ("distillations.0.temperature=[2, 4]", "search.halving=true"),
}


def told(*overrides: str) -> dict[str, dict[str, str]]:
    """What each node sees of what Look has found: the exec properties, with every finding its own name."""
    pipeline = compile_digits(*overrides)
    names = pipeline.component("Look")["outputDefinitions"]["parameters"]
    found = {name: f"<{name}>" for name in names}
    return {node: pipeline.exec_properties(node, told=found, given={}) for node in pipeline.tasks}


def job_of(properties: dict[str, str]) -> TrainingJob:
    """How a node trains."""
    job = properties.get("job") or json.dumps(json.loads(properties["custom_config"])["job"])
    return TrainingJob.model_validate_json(job)


@pytest.mark.parametrize("shape", SHAPES)
def test_data_and_what_ships_reach_whom_they_concern(shape: str) -> None:
    seen = told(*SHAPES[shape])

    assert seen["ExampleGen"]["fingerprint"] == "<data_fingerprint>"
    for node in ("ExampleValidator", "Evaluator", "Pusher"):
        assert seen[node]["incumbent"] == "<incumbent_version>"
    assert seen["Pusher"]["run"] == "<tick>"
    students = [node for node in seen if node.startswith(("Scratch", "Distiller"))]
    assert {job_of(seen[node]).code_fingerprint for node in students} == {"<student_files>"}
    assert ("Scratch" in students) == (shape != "unlabelled")


def test_the_newest_span_is_that_of_example_gen() -> None:
    assert json.loads(told(*SHAPES["spans"])["ExampleGen"]["data"])["span"] == "<newest_span>"


def test_what_is_taken_over_reaches_who_takes_it_over() -> None:
    seen = told(*SHAPES["retraining"])

    for node in ("Scratch", "Distiller-distilled"):
        start = job_of(seen[node]).start
        assert start is not None
        assert start.version == "<start_version>"
    teacher = job_of(seen["Teacher"])
    assert teacher.keeping is not None
    assert teacher.keeping.fingerprint == "<kept_teacher>"
    assert (teacher.start, teacher.code_fingerprint) == (None, "<teacher_files>")


def test_each_teacher_is_known_by_its_own_files() -> None:
    several = told(*SHAPES["several teachers"])
    imported = TeacherImport.model_validate_json(several["Teacher-1"]["teacher_import"])
    assert imported.file_fingerprint == "<teacher_1_files>"
    assert job_of(several["Teacher-2"]).code_fingerprint == "<teacher_2_files>"
    for shape in ("outside", "ONNX"):
        properties = told(*SHAPES[shape])["TeacherPredictions"]
        read = PredictionsImport.model_validate_json(properties["predictions_import"])
        assert read.file_fingerprint == "<teacher_files>"
