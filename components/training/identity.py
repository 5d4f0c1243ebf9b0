"""What decides the weights that a training ends with."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

import components
from components.files import fingerprint_all
from components.models import registry
from components.settings.models import ContinuedModel, FineTunedModel
from components.settings.training import TrainingJob
from components.training.inputs.training_data import TrainingData
from components.training.start.earlier import find_start

ROOT = pathlib.Path(components.__file__).parent

# The code of a training, from stored pixels to weights. An architecture counts by its own file, and what
# other nodes leave, such as the examples, by its content.
_TRAINING = (
    "training/callbacks/best_epoch.py",
    "training/callbacks/checkpoints.py",
    "training/hardware/*.py",
    "training/inputs/*.py",
    "training/job.py",
    "training/learner.py",
    "training/loop.py",
    "training/losses.py",
    "training/online_teacher.py",
    "training/optimization.py",
    "training/start/*.py",
    "models/building.py",
    "models/fine_tuning.py",
    "transform/pixels.py",
)


def identify(job: TrainingJob, data: TrainingData, *, root: pathlib.Path = ROOT) -> dict[str, str]:
    """Returns all that decides the weights of a job's training on some data, by names for a reader.

    Args:
      job: What is trained, and how.
      data: What it is trained on.
      root: The directory of the components, whose code takes part.
    """
    return {
        "job": job.model_dump_json(exclude={"checkpoint_directory"}),
        "classes": ", ".join(data.class_names),
        "training examples": fingerprint_all(data.training_files),
        "unlabelled examples": fingerprint_all(data.unlabelled_files),
        "validation examples": fingerprint_all(data.validation_files),
        "teacher predictions": fingerprint_all(data.all_prediction_files),
        "initial weights": fingerprint_all(_initial_weights(job)),
        "code": fingerprint_all(path for pattern in _TRAINING for path in sorted(root.glob(pattern))),
        "architecture": fingerprint_all(_architecture(job)),
        "libraries": f"Keras {keras.__version__}, TensorFlow {tf.__version__}, NumPy {np.__version__}",
    }


def _initial_weights(job: TrainingJob) -> list[str | pathlib.Path]:
    start = find_start(job.start)
    match job.model:
        case ContinuedModel(path=path) | FineTunedModel(weights=str(path)):
            return [path, start] if start else [path]
        case _:
            return [start] if start else []


def _architecture(job: TrainingJob) -> list[pathlib.Path]:
    """Returns the code of the architecture; a `.keras` file brings its own."""
    if isinstance(job.model, ContinuedModel):
        return []
    return [registry.source_file(job.model.architecture)]
