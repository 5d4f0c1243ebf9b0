import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.pusher import executor as pusher
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.errors import InputError
from components.evaluator.executor import Executor
from components.settings import EvaluationSettings

CLASSES = ("ant", "bee", "cat")
LN2 = math.log(2)

# Pixel k is lit: the student's logits are ln 2 there and 0 elsewhere, so p is 1/2 there and 1/4 elsewhere.
# The fourth pixel tells the label to the teacher alone.
LIT = [0, 0, 1, 1, 1, 2]
LABELS = [0, 0, 0, 1, 1, 1]
STUDENT = {"kernel": LN2 * np.eye(4, 3), "bias": [0, 0, 0]}
# Logits ln 4 for the label and 0 elsewhere: p is 4/6.
TEACHER = {
    "kernel": [[0, 0, 0], [0, 0, 0], [0, 0, 0], [-math.log(4), math.log(4), 0]],
    "bias": [math.log(4), 0, 0],
}
# Always "bee", with p = 1/2.
SCRATCH = {"kernel": np.zeros((4, 3)), "bias": [0, LN2, 0]}


def artifact(artifact_type, uri, identifier=0):
    made = artifact_type()
    made.uri = str(uri)
    made.id = identifier
    return made


@pytest.fixture
def data(tmp_path, write_examples):
    """A test split of six images without a cat, and training data that would break whoever reads it."""
    pixels = np.zeros((6, 2, 2, 1), np.uint8)
    pixels.reshape(6, 4)[range(6), LIT] = 255
    pixels.reshape(6, 4)[:, 3] = 255 * np.array(LABELS)
    for split in ("train", "validation", "test"):
        (tmp_path / "examples" / f"Split-{split}").mkdir(parents=True)
        (tmp_path / "examples" / f"Split-{split}" / "data-00000-of-00002.gz").write_bytes(b"not a record")
    for shard in range(2):
        mine = slice(shard, None, 2)
        write_examples(
            tmp_path / "examples" / "Split-test" / f"data-0000{shard}-of-00002.gz",
            pixels=pixels[mine],
            labels=LABELS[mine],
            ids=[f"{number}" for number in range(6)[mine]],
        )
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    examples.split_names = '["train", "validation", "test"]'
    return examples


@pytest.fixture
def schema(tmp_path):
    """A schema with the names of the classes."""
    message = schema_pb2.Schema()
    message.string_domain.add(name="class_names", value=CLASSES)
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(message))
    return artifact(standard_artifacts.Schema, tmp_path / "schema")


@pytest.fixture
def evaluate(tmp_path, data, schema, write_model, write_history):
    """Runs the node on students given as `name: (weights, validation accuracies)`; returns its outputs."""

    def run(*, students, min_accuracy=0.5, teacher=TEACHER):
        models = {"teacher": (teacher, [0.9]), "scratch": (SCRATCH, [0.4])}
        models |= {f"student_{name}": student for name, student in students.items()}
        inputs = {"examples": [data], "schema": [schema]}
        for number, (key, (weights, accuracies)) in enumerate(models.items(), start=1):
            run_key = f"run_{key.removeprefix('student_')}" if "_" in key else f"{key}_run"
            model = write_model(tmp_path / "models" / key, **weights)
            history = write_history(tmp_path / "runs" / key, val_accuracy=accuracies)
            inputs[key] = [artifact(standard_artifacts.Model, model, number)]
            inputs[run_key] = [artifact(standard_artifacts.ModelRun, history)]
        types = {
            "evaluation": standard_artifacts.ModelEvaluation,
            "blessing": standard_artifacts.ModelBlessing,
            "model": standard_artifacts.Model,
        }
        outputs = {key: [artifact(kind, tmp_path / "outputs" / key)] for key, kind in types.items()}
        for (output,) in outputs.values():
            pathlib.Path(output.uri).mkdir(parents=True)
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=["--direct_running_mode=in_memory"], tmp_dir=str(tmp_path / "tmp")
        )
        settings = EvaluationSettings(min_accuracy=min_accuracy).model_dump_json()
        properties = {"students": json.dumps(list(students)), "evaluation_settings": settings}
        Executor(context).Do(inputs, outputs, properties)
        return {key: output for key, (output,) in outputs.items()}

    return run


def read_evaluation(outputs):
    return json.loads(pathlib.Path(outputs["evaluation"].uri, "evaluation.json").read_text())


def push(outputs, directory):
    """Runs TFX's Pusher; returns whether it pushed."""
    pushed = artifact(standard_artifacts.PushedModel, directory / "artifact")
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(directory / "pushed"))
    )
    pusher.Executor().Do(
        {"model": [outputs["model"]], "model_blessing": [outputs["blessing"]]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return bool(list(directory.glob("pushed/*/saved_model.pb")))


def test_measures_of_six_images_worked_by_hand(evaluate, tmp_path):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, min_accuracy=0.6)
    evaluation = read_evaluation(outputs)

    models = evaluation["models"]
    assert list(models) == ["teacher", "scratch", "kd"]
    assert models["teacher"]["accuracy"] == 1
    assert models["teacher"]["cross_entropy"] == pytest.approx(math.log(1.5), rel=1e-6)
    assert models["scratch"]["accuracy"] == 0.5
    assert models["scratch"]["cross_entropy"] == pytest.approx((3 * math.log(4) + 3 * LN2) / 6, rel=1e-6)
    assert models["scratch"]["per_class"]["ant"]["accuracy"] == 0
    assert models["scratch"]["per_class"]["bee"]["accuracy"] == 1
    assert models["kd"]["accuracy"] == 4 / 6
    assert models["kd"]["cross_entropy"] == pytest.approx((4 * LN2 + 2 * math.log(4)) / 6, rel=1e-6)
    assert models["kd"]["per_class"] == {
        "ant": {"accuracy": 2 / 3, "examples": 3},
        "bee": {"accuracy": 2 / 3, "examples": 3},
        "cat": {"accuracy": None, "examples": 0},
    }
    assert models["kd"]["parameters"] == 15
    files = [path for path in (tmp_path / "models/student_kd/Format-Serving").rglob("*") if path.is_file()]
    assert models["kd"]["size_bytes"] == sum(len(path.read_bytes()) for path in files)
    assert evaluation["test_examples"] == 6
    assert evaluation["class_names"] == ["ant", "bee", "cat"]
    assert evaluation["candidate"] == "kd"

    result = tfma.load_eval_result(outputs["evaluation"].uri, model_name="teacher")
    assert result.get_metrics_for_slice()["accuracy"]["doubleValue"] == 1
    report = pathlib.Path(outputs["evaluation"].uri, "report.html").read_text()
    assert evaluation["verdict"].replace("'", "&#39;") in report


def test_a_blessed_candidate_is_pushed_by_tfx(evaluate, tmp_path):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, min_accuracy=0.6)

    assert read_evaluation(outputs)["blessed"] is True
    blessing = outputs["blessing"]
    assert [path.name for path in pathlib.Path(blessing.uri).iterdir()] == ["BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("current_model") == str(tmp_path / "models" / "student_kd")
    assert blessing.get_int_custom_property("current_model_id") == 3
    assert blessing.get_int_custom_property("baseline_model_id") == 2
    assert push(outputs, tmp_path)


def test_an_unblessed_candidate_is_not_pushed(evaluate, tmp_path):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, min_accuracy=0.7)

    evaluation = read_evaluation(outputs)
    assert evaluation["blessed"] is False
    assert "not blessed" in evaluation["verdict"]
    blessing = outputs["blessing"]
    assert [path.name for path in pathlib.Path(blessing.uri).iterdir()] == ["NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 0
    assert not push(outputs, tmp_path)


def test_validation_chooses_the_candidate_even_where_the_test_split_disagrees(evaluate, tmp_path):
    # On the test split "good" reaches 4/6, and "bad", which always says "cat", nothing.
    always_cat = {"kernel": np.zeros((4, 3)), "bias": [0, 0, LN2]}
    outputs = evaluate(students={"good": (STUDENT, [0.7]), "bad": (always_cat, [0.8])})

    evaluation = read_evaluation(outputs)
    assert evaluation["candidate"] == "bad"
    assert evaluation["blessed"] is False
    assert evaluation["models"]["bad"]["accuracy"] == 0
    copy = pathlib.Path(outputs["model"].uri)
    original = tmp_path / "models" / "student_bad"
    for name in ("model.keras", "Format-Serving/saved_model.pb"):
        assert (copy / name).read_bytes() == (original / name).read_bytes()


def test_nan_outputs_are_never_blessed(evaluate):
    broken = {"kernel": np.full((4, 3), math.nan), "bias": [0, 0, 0]}
    evaluation = read_evaluation(evaluate(students={"kd": (broken, [0.9])}, min_accuracy=0.0))
    assert evaluation["blessed"] is False
    assert evaluation["models"]["kd"]["cross_entropy"] is None
    assert "not finite" in evaluation["verdict"]


def test_a_model_of_another_number_of_classes_is_refused(evaluate, tmp_path):
    four = {"kernel": np.zeros((4, 4)), "bias": np.zeros(4)}
    with pytest.raises(InputError, match=r"'kd' has 4 outputs, but the data has 3 classes"):
        evaluate(students={"kd": (four, [0.7])})
    assert not (tmp_path / "outputs" / "evaluation" / "evaluation.json").exists()


def test_an_empty_test_split_is_refused(evaluate, data, write_examples):
    for path in pathlib.Path(data.uri, "Split-test").iterdir():
        write_examples(path, pixels=np.zeros((0, 2, 2, 1)), labels=[], ids=[])
    with pytest.raises(InputError, match="test split holds no examples"):
        evaluate(students={"kd": (STUDENT, [0.7])})
