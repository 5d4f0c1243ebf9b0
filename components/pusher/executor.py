"""Runs the Pusher node."""

import pathlib
from typing import Any

from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, proto_utils

from components.data_checks.identity import read_identity
from components.files import read_json, sha256
from components.layout import EVALUATION_FILE, IDENTITY_ASSET, MAKING_FILE, keras_file
from components.metrics import ACCURACY, METRICS
from components.report.summary import Evaluation, key_of
from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import Origin, Versions
from components.settings.evaluation import PushSettings


class Executor(executor.Executor):
    """Pushes a blessed student as TFX's executor does, but whole or not at all; puts a refused one aside."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Adds a version to the directory, and writes the `pushed_model`.

        An object store, which can rename nothing, gets its version by TFX's own executor, which copies
        `saved_model.pb` last, and no history.

        Raises:
          InputError: The directory cannot be written.
          OvertakenError: A student ships that the candidate has not been compared with.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        push = PushSettings.model_validate_json(exec_properties["push"])
        directory = str(push.directory)
        if "://" in directory:
            super().Do(input_dict, output_dict, {"push_destination": _destination(directory)})
            return
        pushed_model = artifact_utils.get_single_instance(output_dict["pushed_model"])
        model, versions = pathlib.Path(self.GetModelPath(input_dict)), Versions(pathlib.Path(directory))
        keras_model = pathlib.Path(keras_file(artifact_utils.get_single_uri(input_dict["model"])))
        evaluation = _read_evaluation(artifact_utils.get_single_instance(input_dict["evaluation"]))
        origin = self._origin(evaluation, model=model, keras_model=keras_model)
        is_blessed = self.CheckBlessing(input_dict)
        if input_dict.get("teacher"):
            _keep_teacher(input_dict, has_taught_well=is_blessed, run=origin.run, versions=versions)
        if not is_blessed:
            versions.refuse(model, origin=origin, keras_file=keras_model)
            self._MarkNotPushed(pushed_model)
            return
        io_utils.copy_dir(str(model), pushed_model.uri)
        version = versions.push(
            model,
            origin=origin,
            keras_file=keras_model,
            keep=push.keep,
            after=exec_properties["incumbent"] or None,
        ).version
        self._MarkPushed(
            pushed_model, pushed_destination=str(versions.directory / version), pushed_version=version
        )

    def _origin(self, evaluation: Evaluation, *, model: pathlib.Path, keras_model: pathlib.Path) -> Origin:
        run = self._context.pipeline_run_id if self._context else None
        data = read_identity(model / IDENTITY_ASSET)
        return Origin(
            reason=evaluation.verdict,
            student=evaluation.candidate,
            run=run or "",
            accuracy=evaluation.student.metric(ACCURACY),
            test_examples=evaluation.test_examples,
            metrics={key_of(metric): evaluation.student.metric(metric) for metric in METRICS},
            spans=tuple(map(str, data.spans)) if data else (),
            fingerprints={"student": sha256(keras_model), **({"data": data.fingerprint} if data else {})},
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
            kept = KeptTeacher.find(versions.directory)
            if kept is not None:
                kept.teach(run)
        elif has_taught_well:
            KeptTeacher.keep(teacher, made_by=read_json(making), run=run, directory=versions.directory)


def _destination(directory: str) -> str:
    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=directory)
    text: str = proto_utils.proto_to_json(pusher_pb2.PushDestination(filesystem=filesystem))
    return text
