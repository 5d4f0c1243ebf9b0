"""A training from files to files: what the nodes that train have in common."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf

from components.models import applications, registry
from components.training.augmentation import Augmentation
from components.training.data import epoch_counter, ordered_batches, training_batches
from components.training.export import export_model
from components.training.learner import Learner
from components.training.loop import choose_steps_per_execution, fit
from components.training.models import build_model, load_model
from components.training.precision import resolve_precision
from components.training.teaching import OnlineTeacher, online, online_with_hint


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The examples of a training, as files of transformed examples and their number.

    Attributes:
      training_files: GZIP TFRecord files of the examples to train on.
      num_training_examples: How many they hold together.
      validation_files: Likewise of those to validate on.
      num_validation_examples: How many they hold together.
      image_shape: `(height, width, channels)`.
      class_names: In the order of the labels.
      prediction_files: The teacher's predictions for the examples to train on, if the objective wants them.
      validation_prediction_files: Those for the examples to validate on, if neither have labels: the
        teacher's most likely class then stands for the label of each.
      class_weights: The weight of the examples of each class, in the order of the labels; none for 1.
      weighted: Whether the examples have a feature `weight`.
      augmentation: How the images to train on are changed.
    """

    training_files: Sequence[str]
    num_training_examples: int
    validation_files: Sequence[str]
    num_validation_examples: int
    image_shape: tuple[int, int, int]
    class_names: Sequence[str]
    prediction_files: Sequence[str] = ()
    augmentation: Augmentation | None = None
    validation_prediction_files: Sequence[str] = ()
    class_weights: Sequence[float] = ()
    weighted: bool = False

    @property
    def has_labels(self) -> bool:
        """Whether the examples have labels of their own."""
        return not self.validation_prediction_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a training writes: the `.keras` file, the SavedModel, and its history and logs."""

    keras_file: str
    serving_dir: str
    run_dir: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How an architecture of `keras.applications` is trained before it is trained as a whole.

    Attributes:
      weights_file: What all layers but the last start from; None is random.
      head_epochs: Passes over the training data in which the last layer is trained alone.
      head_learning_rate: Adam's in these epochs.
    """

    weights_file: str | None
    head_epochs: int
    head_learning_rate: float


def train_and_export(
    data: TrainingData,
    *,
    name: str,
    architecture: str,
    objective: keras.losses.Loss,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    precision: str,
    strategy: Literal["single", "mirrored"],
    transform_graph: str,
    destination: Destination,
    teacher: OnlineTeacher | None = None,
    fine_tuning: FineTuning | None = None,
) -> None:
    """Trains a model as `train_model` does, and writes it.

    Args:
      data: What to train and validate on.
      name: How to call the model in messages.
      architecture: A registered name or an import path.
      objective: What to minimise; see `Learner`.
      epochs: Passes over the training data.
      batch_size: Examples in a batch, over all devices.
      learning_rate: Adam's.
      seed: Decides the initial weights, dropout and the order of the examples.
      precision: Keras dtype policy, or `auto`; see `resolve_precision`.
      strategy: `mirrored` spreads each batch over all GPUs.
      transform_graph: Directory of the Transform node's graph.
      destination: Where to write.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      fine_tuning: For an architecture of `keras.applications`. The history of the head's epochs goes below
        `head` in the directory of the run; the weights of its best epoch are trained on.

    Raises:
      InputError: The architecture does not fit the data, the hint does not fit the models, or training
        diverged.
    """
    model = train_model(
        data,
        name=name,
        architecture=architecture,
        objective=objective,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        precision=precision,
        strategy=strategy,
        run_dir=destination.run_dir,
        teacher=teacher,
        fine_tuning=fine_tuning,
    )
    export_model(
        model,
        class_names=data.class_names,
        image_shape=data.image_shape,
        transform_graph=transform_graph,
        keras_file=destination.keras_file,
        serving_dir=destination.serving_dir,
    )


def train_model(
    data: TrainingData,
    *,
    name: str,
    architecture: str,
    objective: keras.losses.Loss,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    precision: str,
    strategy: Literal["single", "mirrored"],
    run_dir: str,
    teacher: OnlineTeacher | None = None,
    fine_tuning: FineTuning | None = None,
) -> keras.Model:
    """Builds a model and trains it.

    Two trainings of one architecture, seed and data start from the same weights and see the same
    batches in the same order, whatever their objectives.

    Args:
      data: What to train and validate on.
      name: How to call the model in messages.
      architecture: A registered name or an import path.
      objective: What to minimise; see `Learner`.
      epochs: Passes over the training data.
      batch_size: Examples in a batch, over all devices.
      learning_rate: Adam's.
      seed: Decides the initial weights, dropout and the order of the examples.
      precision: Keras dtype policy, or `auto`; see `resolve_precision`.
      strategy: `mirrored` spreads each batch over all GPUs.
      run_dir: Where the history and the logs go.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      fine_tuning: For an architecture of `keras.applications`. The history of the head's epochs goes below
        `head` in the directory of the run; the weights of its best epoch are trained on.

    Returns:
      The model, with the weights of its best epoch.

    Raises:
      InputError: The architecture does not fit the data, the hint does not fit the models, or training
        diverged.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    epoch = epoch_counter()
    scope = tf.distribute.MirroredStrategy().scope() if strategy == "mirrored" else contextlib.nullcontext()
    with scope:
        model = build_model(
            applications.architecture(architecture, weights_file=fine_tuning.weights_file)
            if fine_tuning
            else registry.load(architecture),
            name=architecture,
            image_shape=data.image_shape,
            num_classes=len(data.class_names),
            precision=resolve_precision(precision),
        )
        train = functools.partial(
            fit,
            training_data=training_batches(
                data.training_files,
                num_examples=data.num_training_examples,
                image_shape=data.image_shape,
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                prediction_files=data.prediction_files,
                num_classes=len(data.class_names),
                augmentation=data.augmentation,
                labels=data.has_labels,
                class_weights=data.class_weights,
                weighted=data.weighted,
            ),
            validation_data=ordered_batches(
                data.validation_files,
                num_examples=data.num_validation_examples,
                image_shape=data.image_shape,
                batch_size=batch_size,
                prediction_files=data.validation_prediction_files,
                num_classes=len(data.class_names),
            ),
            epoch=epoch,
            name=name,
            steps_per_execution=choose_steps_per_execution(
                image_shape=data.image_shape, batch_size=batch_size
            ),
            reference="labels" if data.has_labels else "teacher",
        )
        if fine_tuning and fine_tuning.head_epochs:
            with applications.frozen_body(model):
                train(
                    Learner(model=model, objective=objective),
                    epochs=fine_tuning.head_epochs,
                    learning_rate=fine_tuning.head_learning_rate,
                    run_dir=pathlib.Path(run_dir) / "head",
                )
        train(
            # Made after the model, whose initial weights and dropout then do not depend on the teacher.
            _learner(model, objective=objective, teacher=teacher),
            epochs=epochs,
            learning_rate=learning_rate,
            run_dir=pathlib.Path(run_dir),
        )
    return model


def _learner(model: keras.Model, *, objective: keras.losses.Loss, teacher: OnlineTeacher | None) -> Learner:
    if teacher is None:
        return Learner(model=model, objective=objective)
    loaded = load_model(teacher.keras_file)
    if teacher.hint is None:
        return Learner(model=model, objective=objective, teacher=online(loaded))
    ask, shown = online_with_hint(loaded, student=model, hint=teacher.hint)
    return Learner(model=model, objective=objective, teacher=ask, shown=shown)
