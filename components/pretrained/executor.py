"""Runs the nodes of teachers that are not trained here."""

import json
import pathlib
from typing import Any

import keras
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components.files import write_json
from components.layout import HISTORY_FILE, keras_file
from components.models.building import load_model
from components.pretrained.ensemble import average
from components.pretrained.importing import import_teacher
from components.schema_gen.schema import class_names
from components.serving.export import export_model
from components.settings.models import ImageSettings, TeacherImport

Artifacts = dict[str, list[Artifact]]


def member_key(name: str) -> str:
    """Returns the input key of one of several teachers."""
    return name.lower().replace("-", "_")


class ImportExecutor(base_executor.BaseExecutor):
    """Imports a pretrained teacher."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the `model` and an empty `model_run`.

        Raises:
          InputError: The teacher cannot be loaded, or does not fit the data.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        job = TeacherImport.model_validate_json(exec_properties["teacher_import"])
        classes = _class_names(input_dict)
        teacher = import_teacher(
            job.teacher.path,
            outputs=job.teacher.outputs,
            pixels=job.teacher.pixels,
            image_shape=job.image.shape,
            class_names=classes,
        )
        _write(teacher, classes=classes, image=job.image, input_dict=input_dict, output_dict=output_dict)


class AverageExecutor(base_executor.BaseExecutor):
    """Makes one teacher of several."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the `model` and an empty `model_run`.

        Raises:
          InputError: The teachers are of different classes or images.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        uris = {
            name: artifact_utils.get_single_uri(input_dict[member_key(name)])
            for name in json.loads(exec_properties["teachers"])
        }
        _write(
            average({name: load_model(keras_file(uri)) for name, uri in uris.items()}),
            classes=_class_names(input_dict),
            image=ImageSettings.model_validate_json(exec_properties["image"]),
            input_dict=input_dict,
            output_dict=output_dict,
        )


def _class_names(input_dict: Artifacts) -> tuple[str, ...]:
    uri = artifact_utils.get_single_uri(input_dict["schema"])
    return class_names(io_utils.parse_pbtxt_file(io_utils.get_only_uri_in_dir(uri), schema_pb2.Schema()))


def _write(
    teacher: keras.Model,
    *,
    classes: tuple[str, ...],
    image: ImageSettings,
    input_dict: Artifacts,
    output_dict: Artifacts,
) -> None:
    """Writes what a trained teacher would leave, but for the epochs."""
    model_uri = artifact_utils.get_single_uri(output_dict["model"])
    export_model(
        teacher,
        class_names=classes,
        image_shape=image.shape,
        transform_graph=artifact_utils.get_single_uri(input_dict["transform_graph"]),
        keras_file=keras_file(model_uri),
        serving_dir=path_utils.serving_model_dir(model_uri),
    )
    run = pathlib.Path(artifact_utils.get_single_uri(output_dict["model_run"]))
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / HISTORY_FILE, {"best_epoch": None, "epochs": []})
