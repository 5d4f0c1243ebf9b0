"""Runs the executors on real artifacts, one after the other."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from components.models.building import load_model
from components.pretrained.executor import AverageExecutor, ImportExecutor
from components.settings.models import ImageSettings, PretrainedTeacher, TeacherImport
from components.training.callbacks.history import read_history

IMAGE = ImageSettings(height=8, width=8, channels=1)
CLASSES = ["even", "odd"]


def test_teachers_are_imported_and_averaged(
    tmp_path: pathlib.Path, transform_graph: str, artifact: Callable[..., Any]
) -> None:
    schema = schema_pb2.Schema()
    schema.string_domain.add(name="class_names", value=CLASSES)
    io_utils.write_pbtxt_file(str(tmp_path / "schema" / "schema.pbtxt"), schema)
    shared = {
        "schema": [artifact(standard_artifacts.Schema, tmp_path / "schema")],
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
