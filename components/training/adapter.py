"""From artifacts and settings to a training: what Teacher, Scratch and Distiller have in common."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.utils import io_utils, path_utils

from components.layout import MAKING_FILE, UNLABELLED, keras_file
from components.models.building import load_model
from components.schema_gen.schema import class_names, has_weights
from components.settings.retraining import Keeping
from components.settings.training import ClassWeights, TrainingJob
from components.storage.files import file_names, write_json
from components.storage.uri import join
from components.telling import tell
from components.training.callbacks.checkpoints import Checkpoints
from components.training.callbacks.divergence import Divergence, DivergenceError, write_divergence
from components.training.callbacks.history import add_to_history, read_history, write_untrained
from components.training.identity import identify
from components.training.inputs.batches import count_labels
from components.training.inputs.class_weights import balanced_weights, named_weights
from components.training.inputs.training_data import TrainingData
from components.training.job import Destination, export, train_and_export, train_model
from components.training.loop import ONLY_TRAINING
from components.training.online_teacher import OnlineTeacher
from components.training.start.earlier import choose_teacher, describe_making

Predictions = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artifacts:
    """What a node that trains reads and writes.

    Attributes:
      training_uri: The training split of the transformed examples.
      validation_uri: The validation split.
      num_examples: Examples in each split, by the split's name.
      schema_file: The schema, which holds the class names.
      transform_graph: The Transform node's graph.
      model_uri: Where the model goes.
      model_run_uri: Where the history and the logs go.
      unlabelled_uri: The split of examples without labels; None if there is none, or it is not trained on.
    """

    training_uri: str
    validation_uri: str
    num_examples: Mapping[str, int]
    schema_file: str
    transform_graph: str
    model_uri: str
    model_run_uri: str
    unlabelled_uri: str | None = None


def example_files(split_uri: str) -> list[str]:
    """Returns the files of a split of examples, in the order in which they are read."""
    split_uri = split_uri.rstrip("/*")
    return [join(split_uri, name) for name in file_names(split_uri) if not name.startswith(".")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aim:
    """What a model is trained for.

    Attributes:
      objective: What to minimise.
      identity: What it decides of the result, by names for a reader.
      teacher: The teacher, if it is to run in the training step.
    """

    objective: keras.losses.Loss
    identity: Mapping[str, str] = dataclasses.field(default_factory=dict)
    teacher: OnlineTeacher | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a node has found for its training, or for several of one model on the same data.

    Attributes:
      job: What to train.
      artifacts: What to read, and where to write.
      data: What to train and validate on.
      identity: What decides the result beside the aim, by names for a reader.
    """

    job: TrainingJob
    artifacts: Artifacts
    data: TrainingData
    identity: Mapping[str, str]

    def train(self, aim: Aim, *, phase: str = ONLY_TRAINING, epochs: range | None = None) -> None:
        """Trains the model of the job and writes its `model` and `model_run` artifacts.

        Args:
          aim: What it is trained for.
          phase: Tells the checkpoints of several trainings apart, and is what their model is called.
          epochs: The last, if those before them have been trained; None is all.

        Raises:
          DivergenceError: See `train_and_export`.
        """
        train_and_export(
            self._called(phase),
            self.data,
            objective=aim.objective,
            teacher=aim.teacher,
            transform_graph=self.artifacts.transform_graph,
            destination=self._destination,
            checkpoints=self._checkpoints(aim),
            phase=phase,
            epochs=epochs,
        )

    def train_variant(self, aim: Aim) -> None:
        """Trains like `train`, but a training that diverges leaves a note of that in the place of its model.

        Args:
          aim: What it is trained for.
        """
        try:
            self.train(aim)
        except DivergenceError as error:
            tell(
                f"diverged in epoch {error.divergence.epoch}, and is left out of the search",
                name=self.job.name,
                level=logging.WARNING,
            )
            write_divergence(self.artifacts.model_uri, error.divergence)
            self._checkpoints(aim).remove()

    def train_or_keep(self, keeping: Keeping, aim: Aim) -> None:
        """Writes the artifacts of the teacher of earlier runs or, if that is not kept, trains another.

        The history says which of both happened, and why.

        Args:
          keeping: Until when a teacher is kept.
          aim: What another is trained for.
        """
        kept, decision = choose_teacher(keeping, self.job, self.data)
        tell(decision, name=self.job.name)
        if kept is None:
            self.train(aim)
            making = describe_making(self.job, self.data)
            write_json(join(self.artifacts.model_run_uri, MAKING_FILE), making)
        else:
            export(
                load_model(kept.keras_file),
                self.job,
                self.data,
                transform_graph=self.artifacts.transform_graph,
                destination=self._destination,
            )
            write_untrained(self.artifacts.model_run_uri)
        add_to_history(self.artifacts.model_run_uri, decision=decision)

    def train_some(self, epochs: range, *, aim: Aim, phase: str) -> tuple[dict[str, Any], Divergence | None]:
        """Trains the model for some epochs, to go on later; only the logs and a checkpoint are written.

        Args:
          epochs: Which, from 0; those before them have been trained.
          aim: What it is trained for.
          phase: Tells the checkpoints and the logs of several trainings apart, and is what their model is
            called.

        Returns:
          The history so far, and how the training diverged, or None if it did not.
        """
        run_dir = f"{self.artifacts.model_run_uri}/{phase}"
        divergence = None
        try:
            train_model(
                self._called(phase),
                self.data,
                objective=aim.objective,
                run_dir=run_dir,
                teacher=aim.teacher,
                checkpoints=self._checkpoints(aim),
                phase=phase,
                epochs=epochs,
            )
        except DivergenceError as error:
            divergence = error.divergence
            tell(
                f"goes on without {phase}, which diverged in epoch {divergence.epoch}",
                name=self.job.name,
                level=logging.WARNING,
            )
        return read_history(run_dir), divergence

    @property
    def _destination(self) -> Destination:
        return Destination(
            keras_file=keras_file(self.artifacts.model_uri),
            serving_dir=path_utils.serving_model_dir(self.artifacts.model_uri),
            run_dir=self.artifacts.model_run_uri,
        )

    def _called(self, phase: str) -> TrainingJob:
        return self.job if phase == ONLY_TRAINING else self.job.model_copy(update={"name": phase})

    def _checkpoints(self, aim: Aim) -> Checkpoints:
        return Checkpoints(
            directory=_checkpoint_directory(self.job, model_uri=self.artifacts.model_uri),
            identity={**self.identity, **aim.identity},
        )


def prepare(
    job: TrainingJob, artifacts: Artifacts, *, predictions: Predictions = MappingProxyType({})
) -> Prepared:
    """Finds what a training needs.

    Args:
      job: What to train.
      artifacts: What to read, and where to write.
      predictions: Files of the teacher's predictions, by split: for `train` and `unlabelled` if the objective
        wants them, and for both `train` and `validation` if these have no labels.
    """
    data = _find_data(job, artifacts, predictions=predictions)
    return Prepared(job=job, artifacts=artifacts, data=data, identity=identify(job, data))


def _find_data(job: TrainingJob, artifacts: Artifacts, *, predictions: Predictions) -> TrainingData:
    schema = io_utils.parse_pbtxt_file(artifacts.schema_file, schema_pb2.Schema())
    names, training_files = class_names(schema), example_files(artifacts.training_uri)
    unlabelled_files = example_files(artifacts.unlabelled_uri) if artifacts.unlabelled_uri else []
    return TrainingData(
        training_files=training_files,
        num_training_examples=artifacts.num_examples["train"],
        validation_files=example_files(artifacts.validation_uri),
        num_validation_examples=artifacts.num_examples["validation"],
        class_names=names,
        prediction_files=predictions.get("train", ()),
        validation_prediction_files=predictions.get("validation", ()),
        unlabelled_files=unlabelled_files,
        num_unlabelled_examples=artifacts.num_examples[UNLABELLED] if unlabelled_files else 0,
        unlabelled_prediction_files=predictions.get(UNLABELLED, ()),
        class_weights=_class_weights(job.class_weights, class_names=names, files=training_files),
        weighted=has_weights(schema),
    )


def _checkpoint_directory(job: TrainingJob, *, model_uri: str) -> pathlib.Path:
    """Returns a place that the next attempt finds: TFX gives each one another directory for its outputs."""
    if job.checkpoint_directory:
        return pathlib.Path(job.checkpoint_directory, job.name)
    return pathlib.Path(model_uri).parents[1] / ".checkpoints"


def _class_weights(
    weights: ClassWeights | None, *, class_names: Sequence[str], files: Sequence[str]
) -> list[float]:
    """Returns the weight of each class in the order of the labels; none if all have weight 1."""
    if weights is None:
        return []
    if isinstance(weights, dict):
        return named_weights(weights, class_names=class_names)
    return balanced_weights(count_labels(files), num_classes=len(class_names))
