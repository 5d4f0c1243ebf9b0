"""From artifacts and settings to a training: what Teacher, Scratch and Distiller have in common."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import keras
import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.utils import io_utils, path_utils

import components
from components.files import sha256
from components.layout import keras_file
from components.models import registry
from components.schema_gen.schema import class_names, has_weights
from components.settings.models import FineTunedTeacher, ModelSettings
from components.settings.training import ClassWeights, TrainingJob
from components.training.callbacks.checkpoints import Checkpoints
from components.training.inputs.augmentation import Augmentation
from components.training.inputs.batches import count_labels
from components.training.inputs.class_weights import balanced_weights, named_weights
from components.training.job import Destination, FineTuning, Recipe, TrainingData, train_and_export
from components.training.online_teacher import OnlineTeacher


def example_files(split_uri: str) -> list[str]:
    """Returns the files of a split of examples, in the order in which they are read."""
    return sorted(tf.io.gfile.glob(f"{split_uri.rstrip('/*')}/*"))


def train(
    job: TrainingJob,
    *,
    objective: keras.losses.Loss,
    training_uri: str,
    validation_uri: str,
    num_examples: Mapping[str, int],
    schema_file: str,
    transform_graph: str,
    model_uri: str,
    model_run_uri: str,
    prediction_files: Sequence[str] = (),
    validation_prediction_files: Sequence[str] = (),
    identity: Mapping[str, str] = MappingProxyType({}),
    teacher: OnlineTeacher | None = None,
) -> None:
    """Trains the model of a job and writes its `model` and `model_run` artifacts.

    Args:
      job: What to train.
      objective: What to minimise.
      training_uri: The training split of the transformed examples.
      validation_uri: The validation split.
      num_examples: Examples in each split, by the split's name.
      schema_file: The schema, which holds the class names.
      transform_graph: The Transform node's graph.
      model_uri: Where the model goes.
      model_run_uri: Where the history and the logs go.
      prediction_files: The teacher's predictions for the training split, if the objective wants them.
      validation_prediction_files: Those for the validation split, if neither has labels.
      teacher: The teacher, if it is to run in the training step instead.
      identity: What decides the result beside the job and the files, by names for a reader.
    """
    schema = io_utils.parse_pbtxt_file(schema_file, schema_pb2.Schema())
    names, training_files = class_names(schema), example_files(training_uri)
    data = TrainingData(
        training_files=training_files,
        num_training_examples=num_examples["train"],
        validation_files=example_files(validation_uri),
        num_validation_examples=num_examples["validation"],
        image_shape=job.image.shape,
        class_names=names,
        prediction_files=prediction_files,
        validation_prediction_files=validation_prediction_files,
        class_weights=_class_weights(job.class_weights, class_names=names, files=training_files),
        weighted=has_weights(schema),
        augmentation=Augmentation(**job.augment.model_dump()) if job.augment else None,
    )
    train_and_export(
        data,
        Recipe(
            name=job.name,
            architecture=job.model.architecture,
            epochs=job.model.epochs,
            batch_size=job.model.batch_size,
            learning_rate=job.model.learning_rate,
            seed=job.seed,
            precision=job.hardware.precision,
            strategy=job.hardware.strategy,
            fine_tuning=_fine_tuning(job.model),
        ),
        objective=objective,
        teacher=teacher,
        transform_graph=transform_graph,
        destination=Destination(
            keras_file=keras_file(model_uri),
            serving_dir=path_utils.serving_model_dir(model_uri),
            run_dir=model_run_uri,
        ),
        checkpoints=Checkpoints(
            directory=_checkpoint_directory(job, model_uri=model_uri),
            identity={**_identity(job, data), **identity},
        ),
    )


def _checkpoint_directory(job: TrainingJob, *, model_uri: str) -> pathlib.Path:
    """Returns a place that the next attempt finds: TFX gives each one another directory for its outputs."""
    if job.checkpoint_directory:
        return pathlib.Path(job.checkpoint_directory, job.name)
    return pathlib.Path(model_uri).parents[1] / ".checkpoints"


def _identity(job: TrainingJob, data: TrainingData) -> dict[str, str]:
    """Returns all that decides the weights which a job's training on some data ends with."""
    sources = pathlib.Path(components.__file__).parent.rglob("*.py")
    fine_tuning = _fine_tuning(job.model)
    initial_weights = [fine_tuning.weights_file] if fine_tuning and fine_tuning.weights_file else []
    return {
        "job": job.model_dump_json(exclude={"checkpoint_directory"}),
        "classes": ", ".join(data.class_names),
        "training examples": _fingerprint(data.training_files),
        "validation examples": _fingerprint(data.validation_files),
        "teacher predictions": _fingerprint([*data.prediction_files, *data.validation_prediction_files]),
        "initial weights": _fingerprint(initial_weights),
        "code": _fingerprint([*sorted(sources), registry.source_file(job.model.architecture)]),
        "libraries": f"Keras {keras.__version__}, TensorFlow {tf.__version__}, NumPy {np.__version__}",
    }


def _fingerprint(files: Iterable[str | pathlib.Path]) -> str:
    """Returns the SHA-256 of the content of files, in hexadecimal."""
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def _fine_tuning(model: ModelSettings) -> FineTuning | None:
    if not isinstance(model, FineTunedTeacher):
        return None
    return FineTuning(
        weights_file=model.weights,
        head_epochs=model.head_epochs,
        head_learning_rate=model.head_learning_rate,
    )


def _class_weights(
    weights: ClassWeights | None, *, class_names: Sequence[str], files: Sequence[str]
) -> list[float]:
    """Returns the weight of each class in the order of the labels; none if all have weight 1."""
    if weights is None:
        return []
    if isinstance(weights, dict):
        return named_weights(weights, class_names=class_names)
    return balanced_weights(count_labels(files), num_classes=len(class_names))
