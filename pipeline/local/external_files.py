"""The files that an experiment uses beside its configuration: whether they are there, and what they hold.

Importing this imports neither TensorFlow nor TFX.
"""

from collections.abc import Mapping

from components.errors import InputError
from components.example_gen.registry import open_source
from components.files import sha256
from components.models import registry
from components.pretrained import model_files, predictions_file
from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import NO_VERSION, Versions
from components.settings.models import (
    ContinuedModel,
    FineTunedModel,
    OnnxTeacher,
    PredictedTeacher,
    PretrainedTeacher,
    Teacher,
    TrainedModel,
)
from components.training.start import continued
from pipeline.config.experiment import Config
from pipeline.local.workspace import Workspace
from pipeline.results.workspace_files import read_summary


def check_files(config: Config) -> None:
    """Checks quickly that the data and the files of the models are there.

    Raises:
      InputError: They are not, or cannot be used.
    """
    open_source(config.data).check()
    models = [("teacher", teacher) for teacher in config.teachers.values()] + [("student", config.student)]
    for key, model in models:
        match model:
            case PredictedTeacher(predictions=path):
                predictions_file.check_predictions(path)
            case OnnxTeacher(path=path):
                model_files.check_onnx(path)
            case PretrainedTeacher(path=path):
                model_files.find_model(path)
            case FineTunedModel(weights=str(path)):
                model_files.check_weights(path, key=f"{key}.weights")
            case ContinuedModel(path=path):
                continued.check_file(path)


def fingerprint_files(config: Config, *, workspace: Workspace, push_directory: str) -> dict[str, str]:
    """Fingerprints what decides, beside the configuration, whether an earlier result still holds.

    Args:
      config: The experiment.
      workspace: Where it runs.
      push_directory: Where its students go.

    Returns:
      The fingerprints, for `pipeline.graph.create_pipeline`.
    """
    fingerprints = fingerprint_inputs(config)
    left = _left_by_earlier_runs(
        config, workspace=workspace, push_directory=push_directory, fingerprints=fingerprints
    )
    return fingerprints | left


def fingerprint_inputs(config: Config) -> dict[str, str]:
    """Fingerprints the data, as `data`, and the file of each teacher and of the student."""
    return {
        "data": open_source(config.data).fingerprint(),
        **{node.lower(): _fingerprint_model(teacher) for node, teacher in config.teachers.items()},
        "student": _fingerprint_model(config.student),
    }


def fingerprint_push_directory(config: Config, *, push_directory: str) -> dict[str, str]:
    """Fingerprints what earlier runs have left beside the pushed students.

    Args:
      config: The experiment.
      push_directory: Where its students go.

    Returns:
      The `incumbent`, to which a new student has to stand up, the `start`, from whose weights students may
      start, and the `kept_teacher`; each `none` where there is none.
    """
    versions = Versions(push_directory)
    kept = KeptTeacher.find(versions.store) if config.retraining.keep_teacher else None
    shipping = versions.shipping() or NO_VERSION
    return {
        "incumbent": shipping,
        "start": shipping,
        "kept_teacher": f"{kept.file} {len(kept.runs)}" if kept else NO_VERSION,
    }


def _fingerprint_model(model: Teacher | TrainedModel) -> str:
    match model:
        case PredictedTeacher(predictions=path):
            return model_files.fingerprint(path)
        case OnnxTeacher(path=path):
            return model_files.fingerprint_onnx(path)
        case PretrainedTeacher(path=path) | ContinuedModel(path=path):
            return model_files.fingerprint(path)
        case FineTunedModel(weights=str(path)):
            return f"{sha256(registry.source_file(model.architecture))} {model_files.fingerprint(path)}"
        case _:
            return sha256(registry.source_file(model.architecture))


def _left_by_earlier_runs(
    config: Config,
    *,
    workspace: Workspace,
    push_directory: str,
    fingerprints: Mapping[str, str],
) -> dict[str, str]:
    """Returns what earlier runs have left; see `fingerprint_push_directory`.

    Students are compared with, and may start from, the one that ships, unless this very experiment was the
    last to push in the run before: then nothing is new, what was there before that run still counts, and all
    comes from the cache. So what a person has rolled back is not pushed again.
    """
    left = fingerprint_push_directory(config, push_directory=push_directory)
    if left["incumbent"] == NO_VERSION:
        return left
    try:
        previous = read_summary(workspace.directory)
    except InputError:  # The first run here, or one that left nothing to go by.
        return left
    versions = Versions(push_directory)
    is_repeated = (
        previous.configuration == config.to_record()
        and {key: value for key, value in previous.fingerprints.items() if key not in left} == fingerprints
        and previous.pushed_model == versions.location(str(versions.last_pushed()))
    )
    return {key: previous.fingerprints.get(key, left[key]) for key in left} if is_repeated else left
