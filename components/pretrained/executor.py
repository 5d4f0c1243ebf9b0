"""Runs the nodes of teachers that are not trained here."""

import itertools
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.layout import keras_file, predictions_directory
from components.models.building import load_model
from components.pretrained.ensemble import average
from components.pretrained.importing import import_teacher
from components.pretrained.model_files import fingerprint, fingerprint_onnx
from components.pretrained.onnx_model import OnnxModel
from components.pretrained.predictions_file import Predictions, read_predictions
from components.schema_gen.artifact import read_schema
from components.schema_gen.schema import class_names
from components.serving.export import export_model
from components.settings.models import ImageSettings, OnnxTeacher, PredictionsImport, TeacherImport
from components.storage.artifacts import on_this_machine
from components.teacher_predictions.records import Batch
from components.teacher_predictions.shard_writer import choose_batch_size
from components.teacher_predictions.store import write_batches
from components.telling import tell
from components.training.adapter import example_files
from components.training.callbacks.history import write_untrained
from components.training.inputs.batches import batches_of_file, read_ids

Artifacts = dict[str, list[Artifact]]


def member_key(name: str) -> str:
    """Returns the input key of one of several teachers."""
    return name.lower().replace("-", "_")


class ImportExecutor(base_executor.BaseExecutor):
    """Imports a pretrained teacher."""

    @on_this_machine()
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

    @on_this_machine()
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


class PredictionsExecutor(base_executor.BaseExecutor):
    """Stores what an outside teacher predicts."""

    @on_this_machine()
    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the `predictions` for every split of `examples`, each in a directory.

        Raises:
          InputError: The teacher cannot be loaded or its file not be read, or it does not fit the data.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        job = PredictionsImport.model_validate_json(exec_properties["predictions_import"])
        classes = _class_names(input_dict)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        files = {
            split: example_files(artifact_utils.get_split_uri([examples], split))
            for split in artifact_utils.decode_split_names(examples.split_names)
        }
        if isinstance(job.teacher, OnnxTeacher):
            teacher_fingerprint = fingerprint_onnx(job.teacher.path)
            batches = _run(job.teacher, files, image=job.image, num_classes=len(classes))
        else:
            teacher_fingerprint = fingerprint(job.teacher.predictions)
            batches = _look_up(read_predictions(job.teacher.predictions, class_names=classes), files)
        for split, predicted in batches.items():
            directory = predictions_directory(
                artifact_utils.get_single_uri(output_dict["predictions"]), split
            )
            pathlib.Path(directory).mkdir()
            write_batches(
                predicted,
                teacher_fingerprint=teacher_fingerprint,
                example_files=files[split],
                directory=directory,
            )


def _run(
    teacher: OnnxTeacher, files: Mapping[str, Sequence[str]], *, image: ImageSettings, num_classes: int
) -> dict[str, Iterator[Batch]]:
    """Returns what a model predicts for the examples of each split, which it sees as they are asked for."""
    model = OnnxModel(
        teacher.path,
        outputs=teacher.outputs,
        pixels=teacher.pixels,
        image_shape=image.shape,
        num_classes=num_classes,
    )
    return {split: _predict(model, of_split, image=image) for split, of_split in files.items()}


def _predict(model: OnnxModel, files: Sequence[str], *, image: ImageSettings) -> Iterator[Batch]:
    batch_size = choose_batch_size(image.shape)
    for number, file in enumerate(files):
        for images, ids in batches_of_file(file, image_shape=image.shape, batch_size=batch_size):
            yield Batch(number, ids.numpy(), model.predict(images))


def _look_up(predictions: Predictions, files: Mapping[str, Sequence[str]]) -> dict[str, Iterator[Batch]]:
    """Finds what a file says of the examples of each split, once it is sure that it knows them all."""
    ids = {split: [read_ids(file) for file in of_split] for split, of_split in files.items()}
    all_ids = itertools.chain.from_iterable(itertools.chain.from_iterable(ids.values()))
    others = predictions.check_covers(list(all_ids))
    if others:
        tell(
            f"leaves out predictions for images that the data does not have: {others:,}",
            name="TeacherPredictions",
        )
    return {
        split: (
            Batch(number, np.array(of_file, object), predictions.of(of_file))
            for number, of_file in enumerate(of_split)
            if of_file
        )
        for split, of_split in ids.items()
    }


def _class_names(input_dict: Artifacts) -> tuple[str, ...]:
    return class_names(read_schema(artifact_utils.get_single_uri(input_dict["schema"])))


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
    write_untrained(artifact_utils.get_single_uri(output_dict["model_run"]))
