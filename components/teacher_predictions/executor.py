"""Runs the TeacherPredictions node."""

import json
import pathlib
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from components.layout import keras_file, predictions_directory
from components.models.building import load_model
from components.settings.models import ImageSettings
from components.settings.training import Views
from components.teacher_predictions.store import (
    choose_batch_size,
    fingerprint_teacher,
    views_of,
    write_predictions,
)
from components.training.adapter import example_files


class Executor(base_executor.BaseExecutor):
    """Stores the teacher's logits for the examples of some splits."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `predictions` of `teacher` for the `splits` of `examples`, each in a directory.

        Of the training images they are those for the `views`, if there are any.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        teacher_file = keras_file(artifact_utils.get_single_uri(input_dict["teacher"]))
        teacher = load_model(teacher_file)
        image_shape = ImageSettings.model_validate_json(exec_properties["image"]).shape
        views = exec_properties.get("views") and Views.model_validate_json(exec_properties["views"])
        for split in json.loads(exec_properties["splits"]):
            directory = predictions_directory(
                artifact_utils.get_single_uri(output_dict["predictions"]), split
            )
            pathlib.Path(directory).mkdir()
            write_predictions(
                teacher,
                teacher_fingerprint=fingerprint_teacher(teacher_file),
                example_files=example_files(artifact_utils.get_split_uri(input_dict["examples"], split)),
                image_shape=image_shape,
                batch_size=choose_batch_size(image_shape),
                directory=directory,
                views=views_of(split, views),
            )
