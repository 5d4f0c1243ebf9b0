"""Runs the Evaluator node."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components.data_checks.identity import read_identity
from components.data_checks.profile import Profile
from components.evaluator import kubeflow_page
from components.evaluator.evaluation import describe
from components.evaluator.judge.blessing import bless, write_validation
from components.evaluator.judge.evidence import SCRATCH, TEACHER, gather
from components.evaluator.judge.gates import gates
from components.evaluator.judge.verdict import choose_candidate
from components.evaluator.measure.analysis import analyse
from components.evaluator.measure.disagreements import read_disagreements
from components.evaluator.measure.predictions import Stored
from components.evaluator.measure.slices import slice_features
from components.evaluator.measure.speed import Speed, measuring_speed
from components.evaluator.opening import Opened, open_models
from components.evaluator.students import Student, read_student
from components.evaluator.training_data import describe_training_data
from components.layout import (
    EVALUATION_FILE,
    IDENTITY_ASSET,
    IDENTITY_FILE,
    OUTCOMES_DIRECTORY,
    PROFILE_ASSET,
    REFERENCE,
    REFERENCE_OUTCOMES_DIRECTORY,
    REPORT_FILE,
    predictions_directory,
)
from components.report.page import render
from components.report.summary import Architectures, History
from components.schema_gen.artifact import read_schema
from components.schema_gen.schema import class_names
from components.serving.servable import Servable
from components.serving.versions import Versions
from components.settings.data_checks import DriftSettings
from components.settings.evaluation import EvaluationSettings
from components.storage.artifacts import keep_empty
from components.storage.copies import fresh_copy, local_copy
from components.storage.files import copy, remove, write_json, write_text
from components.storage.uri import join
from components.teacher_predictions.store import open_predictions, read_first_view
from components.training.adapter import example_files
from components.training.callbacks.history import read_history

# Of so many training images the teacher's predictions are read for the profile.
_LOGITS = 20_000


class Executor(base_beam_executor.BaseBeamExecutor):
    """Evaluates teacher, scratch and the best variant of each distillation in one pass over the test split.

    Reference images, where there are any, are gone over with it. The other variants are compared on the
    validation split alone.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `evaluation`, the `blessing`, the candidate as `model`, and what Kubeflow's page draws.

        Raises:
          InputError: A model does not fit the classes, a slice is of no feature of the examples, the test
            split is empty, or every variant of a distillation diverged.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        outputs = {key: artifact_utils.get_single_instance(found) for key, found in output_dict.items()}
        settings = EvaluationSettings.model_validate_json(exec_properties["evaluation_settings"])
        students = {
            name: read_student(inputs, name=name, distillers=distillers)
            for name, distillers in json.loads(exec_properties["students"]).items()
        }
        artifacts, histories = _models_and_histories(inputs, students=students)
        baseline = SCRATCH if SCRATCH in artifacts else TEACHER
        schema = read_schema(inputs["schema"].uri)
        features = slice_features(settings.slices, schema)
        versions = Versions(exec_properties["versions_directory"])
        stored = _stored_teacher(inputs, num_classes=len(class_names(schema)))
        opened = open_models(
            {name: model.uri for name, model in artifacts.items()},
            student=next(iter(students)),
            class_names=class_names(schema),
            versions=versions,
            incumbent=exec_properties["incumbent"],
        )

        profile, check = describe_training_data(
            local_copy(inputs["anomalies"].uri),
            logits=_training_logits(inputs, num_classes=len(opened.class_names)),
            class_names=opened.class_names,
            versions=versions,
            settings=DriftSettings.model_validate_json(exec_properties["drift"]),
            significance_level=settings.significance_level,
        )
        evaluation_uri: str = outputs["evaluation"].uri
        candidate = choose_candidate({name: histories[name] for name in students})
        models: dict[str, Servable | Stored] = {**stored, **opened.models}
        speeds = self._measure(
            opened,
            models=models,
            examples={split: _pattern(inputs["examples"], split) for split in _tested_on(inputs["examples"])},
            slice_features=features,
            baseline=baseline,
            settings=settings,
            output=evaluation_uri,
        )
        with fresh_copy(evaluation_uri) as measured:
            evidence = gather(
                measured,
                models=models,
                speeds=speeds,
                class_names=opened.class_names,
                confidence=1 - settings.significance_level,
            )
            verdict = gates(
                evidence, candidate=candidate, settings=settings, incomparable=opened.incomparable
            )
            evaluation = describe(
                evidence,
                candidate=candidate,
                gates=verdict,
                architectures=_architectures(opened, student=candidate),
                histories=histories,
                variants={name: student.variants for name, student in students.items()},
                levers=json.loads(exec_properties["levers"]),
                incumbent_version=opened.incumbent_version,
                data_check=check,
                warnings=opened.warnings,
            )
            page = render(evaluation, disagreements=read_disagreements(str(measured)))
        copy(artifacts[candidate].uri, outputs["model"].uri)
        _add_training_data(profile, inputs["anomalies"].uri, model_uri=outputs["model"].uri)
        bless(outputs["blessing"], verdict, model=artifacts[candidate], baseline=artifacts.get(baseline))
        write_validation(evaluation_uri, verdict)
        kubeflow_page.publish(outputs, evaluation=evaluation, page=page)
        for each in outputs.values():
            keep_empty(each.uri)
        write_text(join(evaluation_uri, REPORT_FILE), page)
        # Written last: it says that all is there.
        write_json(join(evaluation_uri, EVALUATION_FILE), evaluation.model_dump(mode="json"))

    def _measure(
        self,
        opened: Opened,
        *,
        models: Mapping[str, Servable | Stored],
        examples: Mapping[str, str],
        slice_features: Sequence[schema_pb2.Feature],
        baseline: str,
        settings: EvaluationSettings,
        output: str,
    ) -> dict[str, Speed]:
        """Has all models go over the images that test them, and measures their speed once that is done."""
        for name in (OUTCOMES_DIRECTORY, REFERENCE_OUTCOMES_DIRECTORY):
            remove(join(output, name))  # Of an attempt that was interrupted.
        image_bytes = math.prod(opened.image_shape)
        with measuring_speed(opened.models, image_bytes=image_bytes) as measure_speed:
            with self._make_beam_pipeline() as pipeline:
                analyse(
                    pipeline,
                    examples=examples["test"],
                    reference=examples.get(REFERENCE),
                    models=models,
                    teacher=TEACHER,
                    baseline=baseline,
                    class_names=opened.class_names,
                    image_shape=opened.image_shape,
                    slices=settings.slices,
                    slice_features=slice_features,
                    output=output,
                )
            return measure_speed()


def _models_and_histories(
    inputs: Mapping[str, Artifact], *, students: Mapping[str, Student]
) -> tuple[dict[str, Artifact], dict[str, History]]:
    """Returns the `model` artifact of each model of this run that has one, and the history of each."""
    fixed = [name for name in (TEACHER, SCRATCH) if name in inputs]
    models = {name: inputs[name] for name in fixed}
    models |= {name: student.model for name, student in students.items()}
    # A teacher that is known by its predictions alone has no history of its own.
    histories = {TEACHER: History(best_epoch=None, epochs=())}
    histories |= {name: History(**read_history(inputs[f"{name}_run"].uri)) for name in fixed}
    histories |= {name: student.history for name, student in students.items()}
    return models, histories


def _stored_teacher(inputs: Mapping[str, Artifact], *, num_classes: int) -> dict[str, Stored]:
    """Returns the teacher, by its name, if it is known by its predictions alone."""
    if TEACHER in inputs:
        return {}
    uri: str = inputs["teacher_predictions"].uri
    files = [
        join(predictions_directory(uri, split), pathlib.PurePath(file).name)
        for split in _tested_on(inputs["examples"])
        for file in open_predictions(
            str(local_copy(predictions_directory(uri, split))),
            teacher_fingerprint=None,
            num_examples=None,
            example_files=example_files(artifact_utils.get_split_uri([inputs["examples"]], split)),
        )
    ]
    return {TEACHER: Stored(uri, files, num_classes)}


def _tested_on(examples: Artifact) -> list[str]:
    """Returns the names of the splits that test the models."""
    splits = artifact_utils.decode_split_names(examples.split_names)
    return [split for split in ("test", REFERENCE) if split in splits]


def _pattern(examples: Artifact, split: str) -> str:
    return io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))


def _training_logits(inputs: Mapping[str, Artifact], *, num_classes: int) -> np.ndarray:
    """Reads what is stored of what the teacher says of the first training images, `[images, num_classes]`."""
    if "teacher_predictions" not in inputs:
        return np.empty((0, num_classes))
    directory = predictions_directory(inputs["teacher_predictions"].uri, "train")
    return read_first_view(directory, num_classes=num_classes, at_most=_LOGITS)


def _add_training_data(profile: Profile, anomalies_uri: str, *, model_uri: str) -> None:
    """Puts beside a model what it was trained on, so that it ships with it: the profile, and which data."""
    served = path_utils.serving_model_path(model_uri)
    write_json(join(served, str(PROFILE_ASSET)), profile.model_dump(mode="json"))
    identity = read_identity(local_copy(anomalies_uri) / IDENTITY_FILE)
    if identity is not None:  # An anomalies artifact in the cache of an earlier version has none.
        write_json(join(served, str(IDENTITY_ASSET)), identity.model_dump(mode="json"))


def _architectures(opened: Opened, *, student: str) -> Architectures:
    """Describes the layers of the teacher, as far as they are known, and of a student."""
    layers = {
        name: [dataclasses.asdict(each) for each in net.layers] for name, net in opened.networks.items()
    }
    return Architectures.model_validate({"teacher": layers.get(TEACHER, []), "student": layers[student]})
