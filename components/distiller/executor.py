"""Runs the Distiller node."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils

from components.distiller.adapter import make_distance, make_hint, warn_of_uniform_labels
from components.distiller.objective import Distillation
from components.layout import keras_file, predictions_directory
from components.models.building import load_model
from components.settings.distillation import DistillationSettings
from components.settings.training import TrainingJob
from components.teacher_predictions.store import (
    fingerprint_teacher,
    open_predictions,
    read_logits,
)
from components.training.adapter import example_files, train
from components.training.inputs.batches import ordered_batches
from components.training.online_teacher import OnlineTeacher


class Executor(base_executor.BaseExecutor):
    """Distils a student from stored predictions, or from the teacher in the training step."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `model` and the `model_run` of the student.

        Raises:
          InputError: The predictions are not of this teacher or not of these examples, or the hint's layers
            are not there or cannot be compared.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        job = TrainingJob.model_validate_json(exec_properties["job"])
        distillation = TypeAdapter(DistillationSettings).validate_json(exec_properties["distillation"])
        num_examples = _count_examples(inputs["statistics"])
        teacher_file = keras_file(inputs["teacher"].uri)
        fingerprint = fingerprint_teacher(teacher_file)
        training_uri = artifact_utils.get_split_uri([inputs["examples"]], "train")

        def predictions_for(split: str) -> list[str]:
            examples = artifact_utils.get_split_uri([inputs["examples"]], split)
            return open_predictions(
                predictions_directory(inputs["teacher_predictions"].uri, split),
                teacher_fingerprint=fingerprint,
                num_examples=num_examples[split],
                example_files=example_files(examples),
            )

        asks_teacher = bool(exec_properties["asks_teacher"])
        prediction_files = predictions_for("train") if "teacher_predictions" in inputs else []
        warn_of_uniform_labels(
            distillation,
            read_logits(prediction_files)
            if prediction_files
            else _ask(teacher_file, job=job, examples=example_files(training_uri)),
            name=job.name,
        )
        train(
            job,
            objective=Distillation(
                distance=make_distance(distillation),
                student_loss_weight=distillation.student_loss_weight,
                label_smoothing=job.model.label_smoothing,
            ),
            training_uri=training_uri,
            validation_uri=artifact_utils.get_split_uri([inputs["examples"]], "validation"),
            num_examples=num_examples,
            schema_file=io_utils.get_only_uri_in_dir(inputs["schema"].uri),
            transform_graph=inputs["transform_graph"].uri,
            model_uri=artifact_utils.get_single_uri(output_dict["model"]),
            model_run_uri=artifact_utils.get_single_uri(output_dict["model_run"]),
            identity={
                "distillation": exec_properties["distillation"],
                "teacher": fingerprint,
                "teacher in the step": str(asks_teacher),
            },
            prediction_files=prediction_files,
            validation_prediction_files=[] if job.labels else predictions_for("validation"),
            teacher=OnlineTeacher(keras_file=teacher_file, hint=make_hint(distillation))
            if asks_teacher
            else None,
        )


def _ask(teacher_file: str, *, job: TrainingJob, examples: Sequence[str]) -> np.ndarray:
    """Returns what a teacher says of a few examples, `[examples, num_classes]`."""
    batches = ordered_batches(examples, image_shape=job.image.shape, batch_size=job.model.batch_size)
    images, _ = next(iter(batches))
    return keras.ops.convert_to_numpy(load_model(teacher_file)(images, training=False))


def _count_examples(statistics: Artifact) -> dict[str, int]:
    """Returns the number of examples in each split."""
    splits = artifact_utils.decode_split_names(statistics.split_names)
    return {
        split: stats_artifact_utils.load_statistics(statistics, split).proto().datasets[0].num_examples
        for split in splits
    }
