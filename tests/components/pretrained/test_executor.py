"""Runs the executors on real artifacts, one after the other."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from components.artifacts import TeacherPredictions
from components.errors import InputError
from components.models.building import load_model
from components.pretrained.executor import AverageExecutor, ImportExecutor, PredictionsExecutor
from components.settings.models import (
    ImageSettings,
    OnnxTeacher,
    PredictedTeacher,
    PredictionsImport,
    PretrainedTeacher,
    TeacherImport,
)
from components.teacher_predictions.store import open_predictions, read_by_id
from components.training.callbacks.history import read_history

IMAGE = ImageSettings(height=8, width=8, channels=1)
CLASSES = ["even", "odd"]


def write_schema(folder: pathlib.Path) -> pathlib.Path:
    schema = schema_pb2.Schema()
    schema.string_domain.add(name="class_names", value=CLASSES)
    io_utils.write_pbtxt_file(str(folder / "schema" / "schema.pbtxt"), schema)
    return folder / "schema"


def test_teachers_are_imported_and_averaged(
    tmp_path: pathlib.Path, transform_graph: str, artifact: Callable[..., Any]
) -> None:
    shared = {
        "schema": [artifact(standard_artifacts.Schema, write_schema(tmp_path))],
        "transform_graph": [artifact(standard_artifacts.TransformGraph, transform_graph)],
    }

    def outputs(name: str) -> dict[str, Any]:
        return {
            "model": [artifact(standard_artifacts.Model, tmp_path / name / "model")],
            "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / name / "run")],
        }

    members = {}
    for name, bias in (("Teacher-1", [0.0, 0.0]), ("Teacher-2", [np.log(9), 0.0])):
        layers = [keras.Input(IMAGE.shape), keras.layers.Flatten(), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        model.set_weights([np.zeros((64, 2)), np.array(bias)])
        model.save(tmp_path / f"{name}.keras")
        teacher = PretrainedTeacher.model_validate({"from": str(tmp_path / f"{name}.keras")})
        members[name] = outputs(name)
        ImportExecutor().Do(
            shared,
            members[name],
            {"teacher_import": TeacherImport(teacher=teacher, image=IMAGE).model_dump_json()},
        )
    averaged = outputs("Teacher")
    AverageExecutor().Do(
        shared | {"teacher_1": members["Teacher-1"]["model"], "teacher_2": members["Teacher-2"]["model"]},
        averaged,
        {"teachers": json.dumps(["Teacher-1", "Teacher-2"]), "image": IMAGE.model_dump_json()},
    )

    # The means of 1/2 and 9/10, and of 1/2 and 1/10.
    expected = np.array([[0.7, 0.3]])
    model_directory = pathlib.Path(averaged["model"][0].uri)
    logits = load_model(model_directory / "model.keras")(np.zeros((1, *IMAGE.shape)))
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, rtol=1e-5)
    served = tf.saved_model.load(str(model_directory / "Format-Serving"))
    answer = served.signatures["transformed"](image=tf.constant([bytes(64)]))
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-5)
    assert answer["class"].numpy().tolist() == [b"even"]
    assert read_history(averaged["model_run"][0].uri) == {"best_epoch": None, "epochs": []}


SIZES = {"train": (3, 2), "validation": (2,), "test": (1, 0)}
KERNEL = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)


class Outside:
    """Examples of three splits, a file of predictions and an ONNX model that say the same of them."""

    def __init__(
        self, folder: pathlib.Path, artifact: Callable[..., Any], write_examples: Callable[..., str]
    ) -> None:
        self.folder = folder
        self.files: dict[str, list[str]] = {}
        self.logits: dict[str, np.ndarray] = {}
        for split, sizes in SIZES.items():
            (folder / "examples" / f"Split-{split}").mkdir(parents=True)
            self.files[split] = [
                self._write(write_examples, split, shard, size) for shard, size in enumerate(sizes)
            ]
        self.inputs = {
            "schema": [artifact(standard_artifacts.Schema, write_schema(folder))],
            "examples": [
                artifact(standard_artifacts.Examples, folder / "examples", splits=list(SIZES)),
            ],
        }
        (folder / "predictions").mkdir()
        self.outputs = {"predictions": [artifact(TeacherPredictions, folder / "predictions")]}

    def _write(self, write_examples: Callable[..., str], split: str, shard: int, size: int) -> str:
        pixels = np.random.default_rng([len(split), shard]).integers(0, 256, (size, 64))
        ids = [f"{split}/{shard}/{index}" for index in range(size)]
        self.logits |= dict(zip(ids, (pixels / 255) @ KERNEL, strict=True))
        path = self.folder / "examples" / f"Split-{split}" / f"part-{shard}"
        return write_examples(path, pixels=pixels, labels=[0] * size, ids=ids)

    def write_onnx(self) -> OnnxTeacher:
        images, logits = (
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("images", ["n", 1, 8, 8]), ("logits", ["n", 2]))
        )
        nodes = [
            onnx.helper.make_node("Flatten", ["images"], ["flat"]),
            onnx.helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
        ]
        kernel = onnx.numpy_helper.from_array(KERNEL, "kernel")
        graph = onnx.helper.make_graph(nodes, "teacher", [images], [logits], [kernel])
        opset = onnx.helper.make_opsetid("", 17)
        path = self.folder / "teacher.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
        return OnnxTeacher.model_validate({"from": str(path)})

    def write_file(self, *, without: str = "") -> PredictedTeacher:
        ids = [name for name in reversed(self.logits) if name != without]
        path = self.folder / "teacher.npz"
        np.savez(path, id=[*ids, "of no image"], logits=[*(self.logits[name] for name in ids), [7.0, 8.0]])
        return PredictedTeacher(predictions=str(path))

    def run(self, teacher: OnnxTeacher | PredictedTeacher) -> None:
        job = PredictionsImport(teacher=teacher, image=IMAGE)
        PredictionsExecutor().Do(self.inputs, self.outputs, {"predictions_import": job.model_dump_json()})


@pytest.fixture
def outside(
    tmp_path: pathlib.Path, artifact: Callable[..., Any], write_examples: Callable[..., str]
) -> Outside:
    return Outside(tmp_path, artifact, write_examples)


@pytest.mark.parametrize("kind", ["onnx", "file"])
def test_what_an_outside_teacher_predicts_is_stored_for_every_split(
    outside: Outside, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    outside.run(outside.write_onnx() if kind == "onnx" else outside.write_file())

    stored: dict[bytes, np.ndarray] = {}
    for split, sizes in SIZES.items():
        files = open_predictions(
            str(outside.folder / "predictions" / f"Split-{split}"),
            teacher_fingerprint=None,
            num_examples=sum(sizes),
            example_files=outside.files[split],
        )
        stored |= read_by_id(files, num_classes=2)
    assert {name.decode() for name in stored} == set(outside.logits)
    for name, logits in outside.logits.items():
        np.testing.assert_allclose(stored[name.encode()], logits, rtol=1e-4, atol=1e-5)
    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert told == (
        [] if kind == "onnx" else ["leaves out predictions for images that the data does not have: 1"]
    )


def test_an_image_that_a_file_lacks_is_named_before_anything_is_stored(outside: Outside) -> None:
    with pytest.raises(InputError, match=r"lacks 1 of the data's 8 images: validation/0/1; predict"):
        outside.run(outside.write_file(without="validation/0/1"))
    assert not list((outside.folder / "predictions").iterdir())
