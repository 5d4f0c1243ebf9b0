import contextlib
import hashlib
import json
import logging
import math
import pathlib
import re
import shutil
import zipfile
from collections import Counter

import jsonschema
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.artifacts import TeacherPredictions
from components.data_checks.profile import Profile, make_teacher_profile, read_profile
from components.errors import InputError
from components.evaluator import executor, kubeflow_page
from components.evaluator.measure.speed import Speed
from components.pusher import executor as pusher
from components.report.reference import SCHEMA_FILE
from components.report.summary import DataCheck, Drift
from components.serving.versions import Origin, Versions
from components.settings.data_checks import DriftSettings
from components.settings.evaluation import EvaluationSettings, PushSettings
from components.storage import files
from components.storage.copies import upload
from components.teacher_predictions.records import Batch
from components.teacher_predictions.store import write_batches

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


@pytest.fixture
def data(tmp_path, artifact, write_examples):
    """A test split of six images without a cat, and training data that would break whoever reads it."""
    pixels = np.zeros((6, 2, 2, 1), np.uint8)
    pixels.reshape(6, 4)[range(6), LIT] = 255
    pixels.reshape(6, 4)[:, 3] = 255 * np.array(LABELS)
    for split in ("train", "validation", "test"):
        (tmp_path / "examples" / f"Split-{split}").mkdir(parents=True)
        (tmp_path / "examples" / f"Split-{split}" / "data-00000-of-00002").write_bytes(b"not a record")
    for shard in range(2):
        mine = slice(shard, None, 2)
        write_examples(
            tmp_path / "examples" / "Split-test" / f"data-0000{shard}-of-00002",
            pixels=pixels[mine],
            labels=LABELS[mine],
            ids=[f"{number}" for number in range(6)[mine]],
        )
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    examples.split_names = '["train", "validation", "test"]'
    return examples


@pytest.fixture
def schema(tmp_path, artifact):
    """A schema with the names of the classes and the features."""
    message = schema_pb2.Schema()
    for name, kind in (("image", schema_pb2.BYTES), ("id", schema_pb2.BYTES), ("label", schema_pb2.INT)):
        message.feature.add(name=name, type=kind)
    for name in ("height", "width"):
        feature = message.feature.add(name=name, type=schema_pb2.INT)
        feature.presence.min_fraction = 1
        feature.shape.SetInParent()
    message.string_domain.add(name="class_names", value=CLASSES)
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(message))
    return artifact(standard_artifacts.Schema, tmp_path / "schema")


PROFILE = Profile(images=100, categories={"label": {"ant": 50, "bee": 50}}, numbers={})
CHECK = DataCheck(drift=None, duplicates=())


@pytest.fixture
def anomalies(tmp_path, artifact):
    """What ExampleValidator has found: nothing."""
    (tmp_path / "anomalies").mkdir()
    (tmp_path / "anomalies" / "profile.json").write_text(PROFILE.model_dump_json())
    (tmp_path / "anomalies" / "data_check.json").write_text(CHECK.model_dump_json())
    return artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies")


@pytest.fixture
def quickly(monkeypatch):
    """Spares all but one test the process that measures the speed."""
    monkeypatch.setattr(
        executor,
        "measuring_speed",
        lambda models, **_: contextlib.nullcontext(
            lambda: dict.fromkeys(models, Speed(latency_median_ms=1.0, latency_p95_ms=2.0, throughput=1000.0))
        ),
    )


@pytest.fixture
def evaluate(tmp_path, artifact, data, schema, anomalies, write_model, write_history, as_in_a_run):
    """Runs the node on students given as `name: (weights, validation accuracies)`; returns its outputs.

    Each is the only variant of a distillation of its name, unless `searches` says otherwise. In the place of
    the models of those that `diverged`, given with the epoch, there is a note of that. Predictions and
    evaluation are in the `bucket`, if one is given.
    """

    def run(
        *,
        students,
        searches=None,
        noted=None,
        diverged=None,
        teacher=TEACHER,
        scratch=SCRATCH,
        pushed="",
        predictions=None,
        bucket=None,
        **settings,
    ):
        models = {"teacher": (teacher, [0.9])} if teacher else {}
        models |= {"scratch": (scratch, [0.4])} if scratch else {}
        models |= {f"student_{name}": student for name, student in students.items()}
        inputs = {"examples": [data], "schema": [schema], "anomalies": [anomalies]}
        if predictions:
            inputs["teacher_predictions"] = [artifact(TeacherPredictions, predictions)]
        for number, (key, (weights, accuracies)) in enumerate(models.items(), start=1):
            run_key = f"run_{key.removeprefix('student_')}" if "_" in key else f"{key}_run"
            model = write_model(tmp_path / "models" / key, **weights)
            history = write_history(tmp_path / "runs" / key, val_accuracy=accuracies)
            if run_key.removeprefix("run_") in (noted or {}):
                shutil.copy(noted[run_key.removeprefix("run_")], pathlib.Path(history, "search.json"))
            if key.removeprefix("student_") in (diverged or {}):
                model = write_divergence(model, epoch=diverged[key.removeprefix("student_")])
            inputs[key] = [artifact(standard_artifacts.Model, model, identifier=number)]
            inputs[run_key] = [artifact(standard_artifacts.ModelRun, history)]
        types = {
            "evaluation": standard_artifacts.ModelEvaluation,
            "blessing": standard_artifacts.ModelBlessing,
            "model": standard_artifacts.Model,
            **kubeflow_page.OUTPUTS,
        }
        outputs = {key: [artifact(kind, tmp_path / "outputs" / key)] for key, kind in types.items()}
        for (output,) in outputs.values():
            pathlib.Path(output.uri).mkdir(parents=True)
        if bucket:
            upload(predictions, f"{bucket}/predictions")
            inputs["teacher_predictions"] = [artifact(TeacherPredictions, f"{bucket}/predictions")]
            outputs["evaluation"] = [artifact(types["evaluation"], f"{bucket}/evaluation")]
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=["--direct_running_mode=in_memory"], tmp_dir=str(tmp_path / "tmp")
        )
        properties = {
            "levers": json.dumps([]),
            "drift": DriftSettings(stop=0.3).model_dump_json(),
            "students": json.dumps(searches or {name: {name: {}} for name in students}),
            "evaluation_settings": EvaluationSettings.model_validate(settings).model_dump_json(),
            "versions_directory": str(tmp_path / "pushed"),
            "incumbent": pushed,
        }
        executor.Executor(context).Do(inputs, outputs, properties)
        return {key: output for key, (output,) in outputs.items()}

    return run


def read_evaluation(outputs):
    return json.loads(pathlib.Path(outputs["evaluation"].uri, "evaluation.json").read_text())


@pytest.fixture
def push(artifact):
    """Runs the Pusher; returns whether it pushed."""

    def run(outputs, directory):
        pushed = artifact(standard_artifacts.PushedModel, directory / "artifact")
        pusher.Executor().Do(
            {
                "model": [outputs["model"]],
                "model_blessing": [outputs["blessing"]],
                "evaluation": [outputs["evaluation"]],
            },
            {"pushed_model": [pushed]},
            {
                "push": PushSettings(directory=str(directory / "pushed")).model_dump_json(),
                "incumbent": "",
                "run": "",
            },
        )
        return bool(list(directory.glob("pushed/*/saved_model.pb")))

    return run


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
    # Named are ant twice, bee three times (twice rightly) and cat once.
    assert models["kd"]["confusion_matrix"] == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    of_class = models["kd"]["per_class"]
    assert {name: each["examples"] for name, each in of_class.items()} == {"ant": 3, "bee": 3, "cat": 0}
    assert [of_class[name]["accuracy"] for name in CLASSES] == [2 / 3, 2 / 3, None]
    assert [of_class[name]["precision"] for name in CLASSES] == [1, 2 / 3, 0]
    assert [of_class[name]["f1"] for name in CLASSES] == [0.8, 2 / 3, 0]
    assert of_class["cat"]["cross_entropy"] is None
    assert models["kd"]["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    # Of the nine pairs of an ant and another, two have an ant with p = 1/2 against 1/4: 6/9 and 3/9 * 1/2.
    assert of_class["ant"]["auc"] == pytest.approx(6 / 9 + 3 / 9 / 2)
    # The confidence is 1/2 throughout.
    assert models["kd"]["expected_calibration_error"] == pytest.approx(4 / 6 - 1 / 2)
    (bin_,) = (each for each in models["kd"]["reliability"] if each["count"])
    assert bin_ == pytest.approx(
        {"low": 7 / 15, "high": 8 / 15, "count": 6, "confidence": 0.5, "accuracy": 4 / 6}, rel=1e-6
    )
    # The teacher, always right, gives 4/6, 1/6, 1/6; the student 1/2 to what it names and 1/4 to the others.
    right = 4 / 6 * math.log(4 / 3) + 2 / 6 * math.log(4 / 6)
    wrong = 4 / 6 * math.log(16 / 6) + 1 / 6 * math.log(2 / 6) + 1 / 6 * math.log(4 / 6)
    assert models["kd"]["kl_from_teacher"] == pytest.approx((4 * right + 2 * wrong) / 6, rel=1e-5)
    assert models["kd"]["agreement_with_teacher"] == 4 / 6
    assert models["kd"]["agreement_where_teacher_right"] == 4 / 6
    assert models["kd"]["agreement_where_teacher_wrong"] is None
    assert models["kd"]["parameters"] == 15
    assert models["kd"]["multiply_adds"] == 12
    assert models["kd"]["latency_ms"]["median"] > 0
    files = [path for path in (tmp_path / "models/student_kd/Format-Serving").rglob("*") if path.is_file()]
    assert models["kd"]["size_bytes"] == sum(len(path.read_bytes()) for path in files)
    assert evaluation["test_examples"] == 6
    assert evaluation["class_names"] == ["ant", "bee", "cat"]
    assert evaluation["candidate"] == "kd"
    assert evaluation["architectures"]["student"][-1]["type"] == "Dense"
    assert evaluation["histories"]["kd"]["best_epoch"] == 1
    assert evaluation["warnings"] == [
        "The test split has no images of cat: how well the models recognise them is unknown."
    ]
    accuracies = {
        each["baseline"]: each for each in evaluation["differences"] if each["metric"] == "accuracy"
    }
    assert accuracies["scratch"]["estimate"] == pytest.approx(1 / 6)
    # Right where scratch is wrong: two ants; the other way round: one bee.
    assert accuracies["scratch"]["p_value"] == 1
    assert accuracies["teacher"]["estimate"] == pytest.approx(-2 / 6)
    assert accuracies["teacher"]["p_value"] == 0.5
    assert set(accuracies) == {"scratch", "teacher"}
    assert evaluation["gap_closed"]["kd"]["estimate"] == pytest.approx(1 / 3)

    whole = json.loads(SCHEMA_FILE.read_text())
    parts = {"required": list(evaluation), "properties": whole["properties"], "$defs": whole["$defs"]}
    jsonschema.validate(evaluation, parts | {"additionalProperties": False})
    result = tfma.load_eval_result(outputs["evaluation"].uri, model_name="teacher")
    assert result.get_metrics_for_slice()["accuracy"]["doubleValue"] == 1
    assert outputs["metrics"].get_float_custom_property("kd_accuracy") == pytest.approx(4 / 6)
    report = pathlib.Path(outputs["evaluation"].uri, "report.html").read_text()
    assert pathlib.Path(outputs["report"].uri, "report.html").read_text() == report
    assert evaluation["verdict"].replace("'", "&#39;") in report


@pytest.mark.usefixtures("quickly")
def test_a_blessed_candidate_is_pushed(evaluate, tmp_path, push):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, min_accuracy=0.6)

    assert read_evaluation(outputs)["blessed"] is True
    blessing = outputs["blessing"]
    assert [path.name for path in pathlib.Path(blessing.uri).iterdir()] == ["BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("current_model") == str(tmp_path / "models" / "student_kd")
    assert blessing.get_int_custom_property("current_model_id") == 3
    assert blessing.get_int_custom_property("baseline_model_id") == 2
    assert push(outputs, tmp_path)
    champion = Versions(tmp_path / "pushed").champion()
    assert (champion.event, champion.student, champion.accuracy) == ("pushed", "kd", 4 / 6)
    assert champion.test_examples == 6
    assert tfma.load_validation_result(outputs["evaluation"].uri).validation_ok


@pytest.mark.usefixtures("quickly")
def test_an_unblessed_candidate_is_not_pushed(evaluate, tmp_path, push):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, min_accuracy=0.7)

    evaluation = read_evaluation(outputs)
    assert evaluation["blessed"] is False
    assert "not blessed" in evaluation["verdict"]
    blessing = outputs["blessing"]
    assert [path.name for path in pathlib.Path(blessing.uri).iterdir()] == ["NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 0
    assert not push(outputs, tmp_path)
    (refused,) = Versions(tmp_path / "pushed").history()
    assert (refused.event, refused.student, refused.accuracy) == ("refused", "kd", 4 / 6)
    assert refused.reason == evaluation["verdict"]
    validation = tfma.load_validation_result(outputs["evaluation"].uri)
    assert not validation.validation_ok
    ((failure,),) = (each.failures for each in validation.metric_validations_per_slice)
    assert failure.metric_key.name == "accuracy"
    assert failure.metric_value.double_value.value == pytest.approx(4 / 6)


@pytest.mark.usefixtures("quickly")
def test_without_scratch_the_candidate_is_compared_with_the_teacher(evaluate, tmp_path, push):
    evaluation = read_evaluation(
        outputs := evaluate(students={"kd": (STUDENT, [0.7]), "worse": (SCRATCH, [0.6])}, scratch=None)
    )

    assert list(evaluation["models"]) == ["teacher", "kd", "worse"]
    assert evaluation["candidate"] == "kd"
    assert {each["baseline"] for each in evaluation["differences"]} == {"teacher"}
    nothing = {"estimate": None, "confidence_interval": None}
    reason = {"reason": "there is no student trained from scratch"}
    assert evaluation["gap_closed"] == {"kd": nothing | reason, "worse": nothing | reason}
    assert evaluation["blessed"] is True
    assert "scratch" not in evaluation["verdict"]
    assert "the teacher 100.0\N{NO-BREAK SPACE}% [\N{MINUS SIGN}33.33" in evaluation["verdict"]
    assert not any(gate["baseline"] == "scratch" for gate in evaluation["gates"])
    assert "has no labels: there is no student trained from scratch" in evaluation["warnings"][0]
    assert evaluation["architectures"]["student"][-1]["parameters"] == 15
    whole = json.loads(SCHEMA_FILE.read_text())
    jsonschema.validate(evaluation, whole | {"required": list(evaluation)})
    assert outputs["blessing"].get_int_custom_property("baseline_model_id") == 1
    assert push(outputs, tmp_path)
    assert outputs["metrics"].get_float_custom_property("kd_accuracy") == pytest.approx(4 / 6)
    assert not outputs["metrics"].has_custom_property("gap_closed")
    report = pathlib.Path(outputs["report"].uri, "report.html").read_text()
    assert "The gap that <strong>kd</strong> closed is undefined" in report
    overview = pathlib.Path(outputs["overview"].uri, kubeflow_page.MARKDOWN_FILE).read_text()
    assert "no student trained from scratch" in overview


@pytest.fixture
def predict(tmp_path, data):
    """Stores the predictions of TEACHER for the test images of some ids, in the order of the files.

    Those for the training images are given, or the same.
    """

    def run(numbers, *, training=None):
        logits = math.log(4) * np.eye(3)[LABELS].astype(np.float32)
        _store(numbers, logits=logits, split="test")
        training = logits if training is None else training.astype(np.float32)
        _store(range(len(training)), logits=training, split="train")
        return tmp_path / "predictions"

    def _store(numbers, *, logits, split):
        directory = tmp_path / "predictions" / f"Split-{split}"
        directory.mkdir(parents=True)
        batches = [
            Batch(shard, np.array([str(number).encode() for number in mine], object), logits[mine])
            for shard in range(2)
            if (mine := [number for number in numbers if number % 2 == shard])
        ]
        files = sorted(map(str, pathlib.Path(data.uri, "Split-test").iterdir()))
        write_batches(batches, teacher_fingerprint="x", example_files=files, directory=str(directory))

    return run


UNKNOWN = ("parameters", "size_bytes", "multiply_adds", "latency_ms", "throughput")


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("scratch", [SCRATCH, None], ids=["beside scratch", "without scratch"])
def test_a_teacher_known_by_its_predictions_is_measured_by_them(evaluate, predict, scratch):
    outputs = evaluate(
        students={"kd": (STUDENT, [0.7])}, teacher=None, scratch=scratch, predictions=predict(range(6))
    )
    evaluation = read_evaluation(outputs)

    models = evaluation["models"]
    assert list(models) == ["teacher", *(["scratch"] if scratch else []), "kd"]
    assert models["teacher"]["accuracy"] == 1
    assert models["teacher"]["cross_entropy"] == pytest.approx(math.log(1.5), rel=1e-6)
    assert models["kd"]["agreement_with_teacher"] == 4 / 6
    assert [models["teacher"][key] for key in UNKNOWN] == [None] * 5
    assert [models["kd"][key] is None for key in UNKNOWN] == [False] * 5
    assert evaluation["architectures"]["teacher"] == []
    assert evaluation["histories"]["teacher"]["epochs"] == []
    assert "known by its predictions alone" in " ".join(evaluation["warnings"])
    whole = json.loads(SCHEMA_FILE.read_text())
    jsonschema.validate(evaluation, whole | {"required": list(evaluation)})
    assert outputs["blessing"].has_custom_property("baseline_model_id") == bool(scratch)
    assert not outputs["metrics"].has_custom_property("teacher_size_bytes")
    report = pathlib.Path(outputs["report"].uri, "report.html").read_text()
    assert "those of the teacher are unknown" in report
    assert "That of teacher is unknown." in report
    assert "smaller than the teacher" not in report


@pytest.mark.usefixtures("quickly")
def test_a_teacher_known_by_its_predictions_is_measured_on_reference_images_too(
    evaluate, predict, data, write_examples
):
    predictions = predict(range(6))
    folder = pathlib.Path(data.uri, "Split-reference")
    folder.mkdir()
    pixels = np.zeros((2, 2, 2, 1), np.uint8)
    file = write_examples(folder / "data-00000-of-00001", pixels=pixels, labels=[2, 1], ids=["r0", "r1"])
    data.split_names = '["train", "validation", "test", "reference"]'
    stored = predictions / "Split-reference"
    stored.mkdir()
    batch = Batch(0, np.array([b"r0", b"r1"], object), math.log(4) * np.eye(3, dtype=np.float32)[[2, 0]])
    write_batches([batch], teacher_fingerprint="x", example_files=[file], directory=str(stored))

    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, teacher=None, predictions=predictions)

    reference = read_evaluation(outputs)["reference"]["models"]
    # Of black images the student's logits are all alike, and it names the first class.
    assert {name: model["accuracy"] for name, model in reference.items()} == {
        "teacher": 0.5, "scratch": 0.5, "kd": 0,
    }  # fmt: skip
    assert reference["teacher"]["cross_entropy"] == pytest.approx((math.log(1.5) + math.log(6)) / 2, rel=1e-6)


@pytest.mark.usefixtures("quickly")
def test_what_is_in_a_bucket_is_fetched_once(evaluate, predict, bucket, caplog):
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        evaluate(
            students={"kd": (STUDENT, [0.7])}, teacher=None, predictions=predict(range(6)), bucket=bucket
        )

    assert files.read_json(f"{bucket}/evaluation/evaluation.json")["models"]["teacher"]["accuracy"] == 1
    fetched = Counter(re.findall(r'"GET /\w+/students/(\S+) HTTP', caplog.text))
    assert {"evaluation/disagreements.json", "predictions/Split-test/data-00000-of-00002"} < set(fetched)
    assert any(name.startswith("evaluation/outcomes/") for name in fetched)
    assert {name: times for name, times in fetched.items() if times > 1} == {}


@pytest.mark.usefixtures("quickly")
def test_predictions_of_other_test_images_are_refused(evaluate, predict):
    with pytest.raises(InputError, match=r"predictions of the teacher are of other examples: .* none for 5;"):
        evaluate(students={"kd": (STUDENT, [0.7])}, teacher=None, predictions=predict(range(5)))


@pytest.mark.usefixtures("quickly")
def test_the_student_ships_with_the_profile_of_what_it_was_trained_on(evaluate, push, tmp_path):
    outputs = evaluate(students={"kd": (STUDENT, [0.7])})
    assert push(outputs, tmp_path)
    (shipped,) = tmp_path.glob("pushed/*/assets.extra/profile.json")
    assert read_profile(shipped) == PROFILE
    assert not list((tmp_path / "models").rglob("profile.json"))
    # An earlier version of this program did not note which data it was.
    champion = Versions(tmp_path / "pushed").champion()
    assert champion.spans == ()
    assert list(champion.fingerprints) == ["student"]


@pytest.mark.usefixtures("quickly")
def test_what_ships_says_which_data_it_was_made_from_and_how_good_it_is(evaluate, push, anomalies, tmp_path):
    spans = [{"span": "7", "version": 2}, {"span": "8", "version": 0}]
    identity = json.dumps({"spans": spans, "fingerprint": "f00d"})
    pathlib.Path(anomalies.uri, "data_identity.json").write_text(identity)
    assert push(evaluate(students={"kd": (STUDENT, [0.7])}), tmp_path)

    champion = json.loads((tmp_path / "pushed" / "champion.json").read_text())
    assert champion["spans"] == ["7/2", "8/0"]
    extra = tmp_path / "pushed" / champion["version"] / "assets.extra"
    with zipfile.ZipFile(extra / "model.keras") as archive:
        weights = archive.read("model.weights.h5")
    student = hashlib.sha256(weights + (extra / "classes.json").read_bytes()).hexdigest()
    assert champion["fingerprints"] == {"data": "f00d", "student": student}
    assert champion["metrics"]["accuracy"] == champion["accuracy"] == 4 / 6
    assert champion["metrics"]["cross_entropy"] == pytest.approx((4 * LN2 + 2 * math.log(4)) / 6, rel=1e-6)
    assert champion["metrics"]["top_k"] is None


@pytest.mark.usefixtures("quickly")
def test_a_drift_of_what_the_teacher_says_is_told_and_stops_nothing(
    evaluate, predict, push, tmp_path, anomalies
):
    # The champion's teacher said "ant" with a probability of 4/6, this one "bee" with one of 4/5.
    sure = make_teacher_profile(np.tile(np.log([4.0, 1, 1]), (200, 1)), class_names=CLASSES)
    (tmp_path / "pushed" / "17" / "assets.extra").mkdir(parents=True)
    (tmp_path / "pushed" / "17" / "assets.extra" / "profile.json").write_text(sure.model_dump_json())
    check = DataCheck(
        drift=Drift(version="17", images_before=200, images_now=100, features=()), duplicates=()
    )
    pathlib.Path(anomalies.uri, "data_check.json").write_text(check.model_dump_json())
    training = np.tile(np.log([1.0, 8, 1]), (100, 1))
    training[0] = np.nan

    outputs = evaluate(
        students={"kd": (STUDENT, [0.7])}, pushed="none", predictions=predict(range(6), training=training)
    )

    evaluation = read_evaluation(outputs)
    assert evaluation["models"]["teacher"]["parameters"]
    drift = evaluation["data_check"]["drift"]
    assert {each["feature"]: (each["distance"], each["status"]) for each in drift["features"]} == {
        "teacher class": (1, "warn"),
        "teacher confidence": (1, "warn"),
        "teacher logit": (1, "warn"),
    }
    (warning,) = (each for each in evaluation["warnings"] if "drifted" in each)
    assert warning.startswith(
        "The training images have drifted from those that the student that ships, version 17,"
    )
    assert (
        "teacher confidence, Jensen-Shannon distance 1.00, p < 0.001 (mean 0.6667 before, 0.8 now)" in warning
    )
    overview = pathlib.Path(outputs["overview"].uri, kubeflow_page.MARKDOWN_FILE).read_text()
    assert "### Data: drift and duplicates" in overview
    assert push(outputs, tmp_path / "new")
    (shipped,) = tmp_path.glob("new/pushed/*/assets.extra/profile.json")
    profile = read_profile(shipped)
    assert profile.categories["label"] == PROFILE.categories["label"]
    assert profile.categories["teacher class"] == {"ant": 0, "bee": 99, "cat": 0}


@pytest.mark.usefixtures("quickly")
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


@pytest.mark.usefixtures("quickly")
def test_of_several_variants_the_best_on_validation_alone_is_measured(evaluate, tmp_path):
    # The worse would be refused if it were opened: it has four outputs.
    never_opened = {"kernel": np.zeros((4, 4)), "bias": np.zeros(4)}
    outputs = evaluate(
        students={"kd-T2": (never_opened, [0.6]), "kd-T4": (STUDENT, [0.5, 0.7]), "plain": (SCRATCH, [0.65])},
        searches={
            "kd": {"kd-T2": {"temperature": 2.0}, "kd-T4": {"temperature": 4.0}},
            "plain": {"plain": {}},
        },
    )

    evaluation = read_evaluation(outputs)
    assert list(evaluation["models"]) == ["teacher", "scratch", "kd", "plain"]
    assert evaluation["models"]["kd"]["accuracy"] == 4 / 6
    assert evaluation["candidate"] == "kd"
    worse = {"settings": {"temperature": 2.0}, "chosen": False, "best_epoch": 1, "epochs": 1}
    best = {"settings": {"temperature": 4.0}, "chosen": True, "best_epoch": 2, "epochs": 2}
    best, worse = (each | {"diverged_in": None} for each in (best, worse))
    assert evaluation["searches"] == {
        "kd": [
            worse | {"val_accuracy": 0.6, "val_loss": 0.5},
            best | {"val_accuracy": 0.7, "val_loss": 0.5},
        ]
    }
    assert evaluation["variants_tried"] == 3
    assert evaluation["verdict"].startswith(
        "The student 'kd' (temperature 4: the best of 3 variants on the validation split) is blessed"
    )
    blessed = outputs["blessing"].get_string_custom_property("current_model")
    assert blessed == str(tmp_path / "models" / "student_kd-T4")
    whole = json.loads(SCHEMA_FILE.read_text())
    jsonschema.validate(evaluation, whole | {"required": list(evaluation)})
    overview = pathlib.Path(outputs["overview"].uri, kubeflow_page.MARKDOWN_FILE).read_text()
    assert "| kd (best of 2) |" in overview


def write_divergence(model, *, epoch):
    """Puts in the place of a model what its Distiller leaves if the training diverges."""
    shutil.rmtree(model)
    pathlib.Path(model).mkdir()
    problem = f"The loss became nan in epoch {epoch}, step 1; lower its learning_rate."
    pathlib.Path(model, "divergence.json").write_text(json.dumps({"epoch": epoch, "problem": problem}))
    return model


@pytest.mark.usefixtures("quickly")
def test_a_variant_that_diverged_is_tried_but_not_chosen(evaluate):
    """However good it was before."""
    outputs = evaluate(
        students={"kd-T2": (STUDENT, [0.6, 0.99]), "kd-T4": (STUDENT, [0.5, 0.7]), "kd-T8": (STUDENT, [])},
        searches={"kd": {f"kd-T{each}": {"temperature": float(each)} for each in (2, 4, 8)}},
        diverged={"kd-T2": 3, "kd-T8": 1},
    )

    evaluation = read_evaluation(outputs)
    lost = {"chosen": False, "best_epoch": None, "val_accuracy": None, "val_loss": None}
    assert evaluation["searches"]["kd"] == [
        lost | {"settings": {"temperature": 2.0}, "diverged_in": 3, "epochs": 2},
        {"settings": {"temperature": 4.0}, "chosen": True, "diverged_in": None, "best_epoch": 2, "epochs": 2}
        | {"val_accuracy": 0.7, "val_loss": 0.5},
        lost | {"settings": {"temperature": 8.0}, "diverged_in": 1, "epochs": 0},
    ]
    assert evaluation["variants_tried"] == 3
    assert evaluation["verdict"].startswith(
        "The student 'kd' (temperature 4: the best of 3 variants on the validation split; 2 diverged) is"
    )
    (warning,) = (each for each in evaluation["warnings"] if "diverged" in each)
    assert warning.startswith(
        "2 of the 3 variants of 'kd' diverged and could not be chosen: temperature 2 in epoch 3; "
        "temperature 8 in epoch 1."
    )
    whole = json.loads(SCHEMA_FILE.read_text())
    jsonschema.validate(evaluation, whole | {"required": list(evaluation)})
    report = (pathlib.Path(outputs["evaluation"].uri) / "report.html").read_text()
    assert "diverged in epoch 3" in report
    overview = pathlib.Path(outputs["overview"].uri, kubeflow_page.MARKDOWN_FILE).read_text()
    assert "temperature 8 in epoch 1" in overview


@pytest.mark.usefixtures("quickly")
def test_where_every_variant_of_a_distillation_diverged_the_run_ends(evaluate):
    with pytest.raises(InputError) as caught:
        evaluate(
            students={"kd-T2": (STUDENT, [0.6]), "kd-T4": (STUDENT, []), "plain": (STUDENT, [0.7])},
            searches={
                "kd": {"kd-T2": {"temperature": 2.0}, "kd-T4": {"temperature": 4.0}},
                "plain": {"plain": {}},
            },
            diverged={"kd-T2": 2, "kd-T4": 1},
        )
    assert str(caught.value) == (
        "Each of the 2 variants of kd diverged; of the first: The loss became nan in epoch 2, step 1; lower "
        "its learning_rate."
    )


@pytest.mark.usefixtures("quickly")
def test_a_distiller_that_tried_several_variants_has_noted_them(evaluate, tmp_path):
    def history(*accuracies):
        epochs = [
            {"epoch": n, "seconds": 1.0, "loss": 1.0, "accuracy": 0.5, "val_loss": 0.5, "val_accuracy": each}
            for n, each in enumerate(accuracies, start=1)
        ]
        return {"best_epoch": len(epochs), "epochs": epochs}

    halved = [
        {"settings": {"temperature": 2.0}, "history": history(0.6)},
        {"settings": {"temperature": 4.0}, "history": history(0.65, 0.7)},
        {"settings": {"temperature": 8.0}, "history": {"best_epoch": None, "epochs": []}}
        | {"divergence": {"epoch": 1, "problem": "The loss became inf."}},
    ]
    noted = tmp_path / "search.json"
    noted.write_text(json.dumps({"variants": halved}))

    evaluation = read_evaluation(evaluate(students={"kd": (STUDENT, [0.65, 0.7])}, noted={"kd": noted}))

    assert [(each["settings"], each["chosen"], each["epochs"]) for each in evaluation["searches"]["kd"]] == [
        ({"temperature": 2.0}, False, 1),
        ({"temperature": 4.0}, True, 2),
        ({"temperature": 8.0}, False, 0),
    ]
    assert [each["diverged_in"] for each in evaluation["searches"]["kd"]] == [None, None, 1]
    assert evaluation["variants_tried"] == 3
    assert evaluation["histories"]["kd"]["best_epoch"] == 2


@pytest.mark.usefixtures("quickly")
def test_nan_outputs_are_never_blessed(evaluate):
    broken = {"kernel": np.full((4, 3), math.nan), "bias": [0, 0, 0]}
    evaluation = read_evaluation(evaluate(students={"kd": (broken, [0.9])}, min_accuracy=0.0))
    assert evaluation["blessed"] is False
    assert evaluation["models"]["kd"]["cross_entropy"] is None
    assert "not finite" in evaluation["verdict"]


@pytest.mark.usefixtures("quickly")
def test_an_empty_test_split_is_refused(evaluate, data, write_examples):
    for path in pathlib.Path(data.uri, "Split-test").iterdir():
        write_examples(path, pixels=np.zeros((0, 2, 2, 1)), labels=[], ids=[])
    with pytest.raises(InputError, match="test split holds no examples"):
        evaluate(students={"kd": (STUDENT, [0.7])})


@pytest.mark.usefixtures("quickly")
def test_a_slice_of_no_feature_is_refused_before_anything_is_measured(evaluate):
    with pytest.raises(InputError, match=r"'colour', .*allowed: height, width, image_size"):
        evaluate(students={"kd": (STUDENT, [0.7])}, slices=["colour"])


@pytest.mark.usefixtures("quickly")
def test_the_incumbent_is_measured_too(evaluate, tmp_path, write_model):
    # It names every image rightly: the new student drops by two in six. What was pushed since is not asked.
    shutil.copytree(
        pathlib.Path(write_model(tmp_path / "old", **TEACHER), "Format-Serving"), tmp_path / "pushed/17"
    )
    (tmp_path / "pushed/23").mkdir()

    evaluation = read_evaluation(
        evaluate(students={"kd": (STUDENT, [0.7])}, pushed="17", max_accuracy_drop=0.3)
    )

    incumbent = evaluation["models"]["incumbent"]
    assert (incumbent["role"], incumbent["accuracy"], incumbent["parameters"]) == ("incumbent", 1, 15)
    assert incumbent["multiply_adds"] is None
    assert evaluation["blessed"] is False
    (failed,) = (gate for gate in evaluation["gates"] if not gate["held"])
    assert (failed["name"], failed["baseline"], failed["bound"]) == ("drop in accuracy", "incumbent", 0.3)
    assert failed["measured"] == pytest.approx(2 / 6)


@pytest.mark.usefixtures("quickly")
def test_reference_images_have_a_verdict_of_their_own(evaluate, tmp_path, data, write_model, write_examples):
    # The incumbent names every image "bee": so are three of the six test images, of which the student knows
    # four, and both reference images, of which it knows one.
    pixels = np.zeros((2, 2, 2, 1), np.uint8)
    pixels.reshape(2, 4)[[0, 1], [1, 2]] = 255
    (tmp_path / "examples/Split-reference").mkdir()
    write_examples(tmp_path / "examples/Split-reference/data", pixels=pixels, labels=[1, 1], ids=["r0", "r1"])
    data.split_names = '["train", "validation", "test", "reference"]'
    served = pathlib.Path(write_model(tmp_path / "old", **SCRATCH), "Format-Serving")
    shutil.copytree(served, tmp_path / "pushed/17")

    outputs = evaluate(students={"kd": (STUDENT, [0.7])}, max_accuracy_drop=0.3)
    evaluation = read_evaluation(outputs)

    assert evaluation["test_examples"] == 6
    assert evaluation["models"]["kd"]["accuracy"] == 4 / 6
    reference = evaluation["reference"]
    assert reference["examples"] == 2
    assert {name: model["accuracy"] for name, model in reference["models"].items()} == {
        "teacher": 0, "scratch": 1, "kd": 0.5, "incumbent": 1,
    }  # fmt: skip
    # "bee" with p = 1/2, and with p = 1/4.
    assert reference["models"]["kd"]["cross_entropy"] == pytest.approx((LN2 + 2 * LN2) / 2, rel=1e-6)
    (failed,) = (gate for gate in evaluation["gates"] if not gate["held"])
    assert (failed["name"], failed["split"], failed["measured"]) == ("drop in accuracy", "reference", 0.5)
    report = pathlib.Path(outputs["report"].uri, "report.html").read_text()
    assert "Quality on the reference images: 2 images, the same in every run" in report
    assert reference["verdict"] in report


@pytest.mark.usefixtures("quickly")
def test_after_a_rollback_the_incumbent_is_what_ships_again(evaluate, tmp_path, write_model):
    versions = Versions(tmp_path / "pushed")
    for name, weights in (("old", TEACHER), ("bad", SCRATCH)):
        served = pathlib.Path(write_model(tmp_path / name, **weights), "Format-Serving")
        versions.push(served, origin=Origin(reason=name))
    versions.roll_back(to=None, reason="it was bad")

    evaluation = read_evaluation(evaluate(students={"kd": (STUDENT, [0.7])}))

    assert evaluation["models"]["incumbent"]["accuracy"] == 1


@pytest.mark.usefixtures("quickly")
def test_an_incumbent_that_does_not_load_is_left_out_with_a_warning(evaluate, tmp_path):
    (tmp_path / "pushed/17").mkdir(parents=True)
    (tmp_path / "pushed/17/saved_model.pb").write_bytes(b"no model")
    evaluation = read_evaluation(evaluate(students={"kd": (STUDENT, [0.7])}))
    assert set(evaluation["models"]) == {"teacher", "scratch", "kd"}
    assert "ships, 17, is left out of the comparison: it cannot be loaded" in evaluation["warnings"][0]
