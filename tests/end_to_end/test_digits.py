"""The whole graph on scikit-learn's digits.

A run takes a minute or so, so the tests share the first one.
"""

import functools
import io
import json
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import jsonschema
import numpy as np
import pytest
from command_line import NODES, QUICK_DIGITS, REPOSITORY, distill, run, states
from launcher import orchestrating
from PIL import Image
from sklearn.datasets import load_digits

from components.report.reference import SCHEMA_FILE
from components.serving.versions import Versions
from pipeline.config.nodes import LOOK
from pipeline.kubeflow.result_lines import find_result
from pipeline.local.predict import predict
from pipeline.retraining.ledger import Ledger


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def first(workspace: pathlib.Path) -> tuple[dict[str, Any], str]:
    """The first run on digits."""
    return run("digits.yaml", workspace, *QUICK_DIGITS)


def test_a_run_trains_compares_and_pushes(first: tuple[dict[str, Any], str], workspace: pathlib.Path) -> None:
    summary, _ = first

    assert states(summary) == dict.fromkeys(NODES, "completed")
    assert {name: model["role"] for name, model in summary["models"].items()} == {
        "teacher": "teacher",
        "scratch": "scratch",
        "distilled": "distilled",
    }
    assert summary["name"] == "digits"
    assert summary["class_names"] == [str(digit) for digit in range(10)]
    assert summary["blessed"] is True
    counts = {name: split["examples"] for name, split in summary["data"].items()}
    assert list(counts) == ["train", "validation", "test", "unlabelled"]
    assert sum(counts.values()) == 1797
    assert 0.05 < counts["train"] / (counts["train"] + counts["unlabelled"]) < 0.15
    assert summary["models"]["distilled"]["parameters"] == 16 * 65 + 10 * 17
    assert summary["models"]["teacher"]["accuracy"] > 0.9
    assert (workspace / "report.html").read_text().startswith("<!DOCTYPE html>")
    jsonschema.validate(summary, json.loads(SCHEMA_FILE.read_text()))


def test_a_piped_run_prints_plain_lines_about_every_node(first: tuple[dict[str, Any], str]) -> None:
    _, output = first

    assert "\x1b" not in output
    for node in NODES:
        assert node in output
    assert "report.html" in output
    assert re.search(
        r"^Trained on \d+ labelled images; distilled students also on \d+ unlabelled", output, re.M
    )


def test_the_evaluation_is_that_of_the_served_student_on_the_test_images(
    first: tuple[dict[str, Any], str], workspace: pathlib.Path
) -> None:
    """Reads the raw test split and asks the pushed model, with nothing of TFMA's."""
    import tensorflow as tf

    summary, _ = first
    (split,) = workspace.glob("artifacts/ExampleGen/examples/*/Split-test")
    records = tf.data.TFRecordDataset([str(f) for f in sorted(split.glob("*"))], compression_type="GZIP")
    examples = [tf.train.Example.FromString(record.numpy()).features.feature for record in records]
    images = [example["image"].bytes_list.value[0] for example in examples]
    labels = np.array([example["label"].int64_list.value[0] for example in examples])

    served = tf.saved_model.load(summary["pushed_model"]).signatures["images"](image=tf.constant(images))

    probabilities = np.asarray(served["probabilities"], np.float64)
    model = summary["models"]["distilled"]
    assert len(labels) == summary["data"]["test"]["examples"]
    assert model["accuracy"] == pytest.approx((probabilities.argmax(axis=-1) == labels).mean(), abs=1e-6)
    log_loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert model["cross_entropy"] == pytest.approx(log_loss, rel=1e-3)


def test_the_report_of_a_run_opens_in_a_browser(
    first: tuple[dict[str, Any], str], workspace: pathlib.Path, browser: Any
) -> None:
    page = workspace / "report.html"
    visit = browser.visit(page, width=390)

    assert (visit.messages, visit.requests, visit.excess_width) == ([], [page.as_uri()], 0)
    sections = browser.run("return [...document.querySelectorAll('section h2')].map(each => each.id)")
    assert sections == [
        *("models", "differences", "gates", "training", "cost", "classes", "confusion", "reliability"),
        *("disagreements", "architecture", "drift", "data", "run"),
    ]
    assert browser.run("return [...document.images].every(each => each.naturalWidth === 8)")


def test_predict_names_the_class_of_an_image(
    first: tuple[dict[str, Any], str], tmp_path: pathlib.Path
) -> None:
    summary, _ = first
    digits = load_digits()
    buffer = io.BytesIO()
    Image.fromarray((digits.images[0] * 255 / 16).round().astype(np.uint8)).save(buffer, "PNG")
    image = tmp_path / "zero.png"
    image.write_bytes(buffer.getvalue())

    (prediction,) = predict([image], model=summary["pushed_model"])

    assert prediction.image == image
    assert prediction.class_name == "0"
    assert prediction.probabilities["0"] > 0.5
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_the_same_run_again_comes_from_the_cache(
    first: tuple[dict[str, Any], str], workspace: pathlib.Path
) -> None:
    summary, output = run("digits.yaml", workspace, *QUICK_DIGITS)

    assert states(summary) == dict.fromkeys(NODES, "cached")
    assert summary["models"] == first[0]["models"]
    assert summary["pushed_model"] == first[0]["pushed_model"]
    assert "cached" in output


ANOTHER_TEMPERATURE = [
    *QUICK_DIGITS,
    *("--set", "distillations.0.temperature=5", "--set", "evaluation.min_accuracy=1.0"),
]


@pytest.fixture(scope="module")
def another(
    first: tuple[dict[str, Any], str], workspace: pathlib.Path
) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """A run with another temperature, and no chance to be blessed, after one that Ctrl-C ended."""
    arguments = ("run", "configs/digits.yaml", "--workspace", str(workspace), *ANOTHER_TEMPERATURE)
    interrupt_during("Distiller-distilled", arguments)
    result = distill(*arguments, "--require-blessing")
    return json.loads((workspace / "summary.json").read_text()), result


def interrupt_during(node: str, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pipeline", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    for line in process.stdout or ():
        if line.startswith(f"{node}: running"):
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 1


def test_an_interrupted_run_leaves_nothing_to_be_trusted(
    another: tuple[dict[str, Any], subprocess.CompletedProcess[str]],
) -> None:
    """What was killed in the middle of a node is done again; what was complete before is not."""
    summary, _ = another

    assert states(summary)["TeacherPredictions"] == "cached"
    assert states(summary)["Distiller-distilled"] == "completed"
    assert len(summary["histories"]["distilled"]["epochs"]) == 10
    assert summary["models"]["distilled"]["accuracy"] > 0.8


def test_another_temperature_runs_no_teacher_and_an_unblessed_student_is_not_pushed(
    first: tuple[dict[str, Any], str],
    another: tuple[dict[str, Any], subprocess.CompletedProcess[str]],
    workspace: pathlib.Path,
) -> None:
    summary, result = another

    assert result.returncode == 3, result.stdout + result.stderr
    ran = {node for node, state in states(summary).items() if state == "completed"}
    assert ran == {"Distiller-distilled", "Evaluator", "Pusher"}
    assert summary["blessed"] is False
    assert summary["pushed_model"] is None
    versions = Versions(workspace / "pushed")
    assert [str(versions.directory / each) for each in versions.whole()] == [first[0]["pushed_model"]]
    assert [entry.event for entry in versions.history()] == ["pushed", "refused"]
    before = first[0]["models"]["distilled"]
    assert {name: summary["models"]["incumbent"][name] for name in ("accuracy", "parameters")} == {
        name: before[name] for name in ("accuracy", "parameters")
    }


def test_the_next_run_compares_its_images_with_those_of_the_student_that_ships(
    first: tuple[dict[str, Any], str],
    another: tuple[dict[str, Any], subprocess.CompletedProcess[str]],
) -> None:
    """The images and the teacher are the same, so nothing has drifted."""
    assert first[0]["data_check"]["drift"] is None
    drift = another[0]["data_check"]["drift"]
    assert drift["version"] == pathlib.Path(first[0]["pushed_model"]).name
    trained_on = sum(first[0]["data"][split]["examples"] for split in ("train", "unlabelled"))
    assert (drift["images_before"], drift["images_now"]) == (trained_on, trained_on)
    of_images = ["label", "height", "width", "brightness", "contrast"]
    of_teacher = ["teacher class", "teacher confidence", "teacher logit"]
    assert [each["feature"] for each in drift["features"]] == [*of_images, *of_teacher]
    assert {(each["distance"], each["status"]) for each in drift["features"]} == {(0, "none")}


@pytest.mark.long
def test_the_predictions_of_a_teacher_take_its_place(
    first: tuple[dict[str, Any], str], workspace: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What the first run's teacher says, written as a user of another framework would."""
    import keras

    summary, _ = first
    (model,) = workspace.glob("artifacts/Teacher/model/*/model.keras")
    pixels = (load_digits().images * 255 / 16).round() / 255
    logits = np.array(keras.saving.load_model(model)(pixels[..., np.newaxis].astype(np.float32)))
    ids = [f"digits/{index:04d}" for index in range(len(logits))]
    # Those that students learnt from, to the last bit: they are rounded to float16.
    for name, stored in stored_logits(workspace).items():
        np.testing.assert_allclose(stored, logits[ids.index(name)], rtol=1e-3, atol=1e-3)
        logits[ids.index(name)] = stored
    np.savez(tmp_path / "teacher.npz", id=ids, logits=logits, classes=summary["class_names"])

    again, output = run(
        *("digits.yaml", workspace, *QUICK_DIGITS[2:], "--set", f"push.directory={tmp_path}"),
        *("--set", f"teacher={{predictions: {tmp_path / 'teacher.npz'}}}"),
    )

    assert [node for node, state in states(again).items() if state == "completed"] == [
        "ExampleValidator",  # What ships lies elsewhere.
        *("TeacherPredictions", "Distiller-distilled", "Evaluator", "Pusher"),
    ]
    for key in ("loss", "val_loss", "val_accuracy"):
        before, after = (
            [epoch[key] for epoch in each["histories"]["distilled"]["epochs"]] for each in (summary, again)
        )
        assert after == before
    teacher, before = again["models"]["teacher"], summary["models"]["teacher"]
    assert teacher["accuracy"] == before["accuracy"]
    assert teacher["cross_entropy"] == pytest.approx(before["cross_entropy"], rel=1e-4)
    assert again["models"]["distilled"]["accuracy"] == summary["models"]["distilled"]["accuracy"]
    assert (teacher["parameters"], teacher["size_bytes"], teacher["latency_ms"]) == (None, None, None)
    assert "the teacher is known by its predictions alone" in output


def stored_logits(workspace: pathlib.Path) -> dict[str, list[float]]:
    """Returns the logits that a run's teacher has left for the images to learn from, by their ids."""
    import tensorflow as tf

    found = {}
    files = workspace.glob("artifacts/TeacherPredictions/predictions/*/Split-*/*-of-*")
    for record in tf.data.TFRecordDataset([str(path) for path in files]):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        (halves,) = features["halves"].bytes_list.value
        found[features["id"].bytes_list.value[0].decode()] = np.frombuffer(halves, "<f2").tolist()
    return found


@pytest.mark.long
def test_the_beam_runner_gives_the_same_metrics(
    first: tuple[dict[str, Any], str], tmp_path: pathlib.Path
) -> None:
    summary, _ = run("digits.yaml", tmp_path, *QUICK_DIGITS, "--orchestrator", "beam")

    assert states(summary) == dict.fromkeys(NODES, "completed")
    for name, model in summary["models"].items():
        assert model["accuracy"] == first[0]["models"][name]["accuracy"]
        assert model["cross_entropy"] == pytest.approx(first[0]["models"][name]["cross_entropy"], rel=1e-6)


@pytest.mark.long
def test_the_committed_pipeline_gives_the_same_metrics_on_kubeflow(
    first: tuple[dict[str, Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """KFP's own local orchestrator runs pipeline.yaml, and every node is started as KFP's launcher would.

    The same run again finds nothing new: it takes all but Look from a cache that knows what KFP's does.
    """
    with orchestrating(monkeypatch) as launcher:
        pushed = launcher.mounts / "pushed"
        run_it = functools.partial(
            launcher.run,
            REPOSITORY / "pipeline.yaml",
            teacher_epochs=20,
            student_epochs=10,
            push_directory=str(pushed),
        )
        run_it()
        logs, evaluated = dict(launcher.logs), launcher.evaluation()
        (report,) = launcher.bucket.glob("*/Evaluator/report")
        (overview,) = launcher.bucket.glob("*/Evaluator/overview")
        # The server's page draws a file, and nothing of a directory.
        assert report.read_text().startswith("<!DOCTYPE html>")
        assert overview.read_text().startswith("**Blessed.**")
        (version,) = Versions(pushed).whole()
        (tick,) = Ledger(pushed, "digits").ticks()

        launcher.logs.clear()
        run_it()

        assert list(launcher.logs) == [LOOK]
        assert Versions(pushed).whole() == [version]
        ticks = Ledger(pushed, "digits").ticks()
        assert [each.outcome for each in ticks] == ["pushed", "nothing new"]
        assert ticks[1].fingerprints == tick.fingerprints
    assert sorted(logs) == sorted([LOOK, *NODES])
    assert (tick.outcome, tick.version) == ("pushed", version)
    assert tick.data == first[0]["fingerprints"]["data"]
    for name, model in first[0]["models"].items():
        assert evaluated["models"][name]["accuracy"] == model["accuracy"]
        assert evaluated["models"][name]["cross_entropy"] == pytest.approx(model["cross_entropy"], rel=1e-6)
    result = find_result(logs["Evaluator"])
    assert {"teacher", "distilled", "scratch"} <= {line.split()[0] for line in result if line}
    assert result[-2] == evaluated["verdict"]
    assert re.fullmatch(r"Report: +minio://bucket/.*/Evaluator/report", result[-1])
