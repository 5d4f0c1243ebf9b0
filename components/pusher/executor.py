"""Runs the Pusher node."""

import pathlib
from typing import Any

from tfx.components.pusher import executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils

from components.data_checks.identity import read_identity
from components.files import read_json
from components.layout import EVALUATION_FILE, IDENTITY_ASSET, MAKING_FILE, keras_file
from components.metrics import ACCURACY, METRICS
from components.report.summary import Evaluation, key_of
from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import Origin, Versions
from components.settings.evaluation import PushSettings
from components.storage.artifacts import on_this_machine


class Executor(executor.Executor):
    """Pushes a blessed student as TFX's executor does, but whole or not at all; puts a refused one aside."""

    @on_this_machine()
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Adds a version to the directory, and writes the `pushed_model`.

        Raises:
          InputError: The directory cannot be written.
          OvertakenError: A student ships that the candidate has not been compared with.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        push = PushSettings.model_validate_json(exec_properties["push"])
        pushed_model = artifact_utils.get_single_instance(output_dict["pushed_model"])
        model, versions = pathlib.Path(self.GetModelPath(input_dict)), Versions(str(push.directory))
        keras_model = pathlib.Path(keras_file(artifact_utils.get_single_uri(input_dict["model"])))
        evaluation = _read_evaluation(artifact_utils.get_single_instance(input_dict["evaluation"]))
        origin = self._origin(evaluation, model=model, run=exec_properties["run"])
        is_blessed = self.CheckBlessing(input_dict)
        if is_blessed:
            io_utils.copy_dir(str(model), pushed_model.uri)
            version = versions.push(
                model,
                origin=origin,
                keras_file=keras_model,
                keep=push.keep,
                after=exec_properties["incumbent"] or evaluation.incumbent_version,
            ).version
            location = versions.location(version)
            self._MarkPushed(pushed_model, pushed_destination=location, pushed_version=version)
        else:
            versions.refuse(model, origin=origin, keras_file=keras_model)
            self._MarkNotPushed(pushed_model)
        # Last: a run that is killed before goes over the push again, and finds the teacher as it was.
        if input_dict.get("teacher"):
            _keep_teacher(input_dict, has_taught_well=is_blessed, run=origin.run, versions=versions)

    def _origin(self, evaluation: Evaluation, *, model: pathlib.Path, run: str) -> Origin:
        data = read_identity(model / IDENTITY_ASSET)
        return Origin(
            reason=evaluation.verdict,
            student=evaluation.candidate,
            run=run or (self._context and self._context.pipeline_run_id) or "",
            accuracy=evaluation.student.metric(ACCURACY),
            test_examples=evaluation.test_examples,
            metrics={key_of(metric): evaluation.student.metric(metric) for metric in METRICS},
            spans=tuple(map(str, data.spans)) if data else (),
            fingerprints={"data": data.fingerprint} if data else {},
            reference_accuracy=evaluation.reference_accuracy,
        )


def _read_evaluation(artifact: Artifact) -> Evaluation:
    return Evaluation.model_validate(read_json(pathlib.Path(artifact.uri, EVALUATION_FILE)))


def _keep_teacher(
    input_dict: dict[str, list[Artifact]], *, has_taught_well: bool, run: str, versions: Versions
) -> None:
    """Keeps a teacher that this run has trained, if its student ships; of a kept one it counts the run."""
    making = pathlib.Path(artifact_utils.get_single_uri(input_dict["teacher_run"]), MAKING_FILE)
    teacher = pathlib.Path(keras_file(artifact_utils.get_single_uri(input_dict["teacher"])))
    with versions.locked(create=True):
        if not making.is_file():
            kept = KeptTeacher.find(versions.store)
            if kept is not None:
                kept.teach(run)
        elif has_taught_well:
            KeptTeacher.keep(teacher, made_by=read_json(making), run=run, store=versions.store)
