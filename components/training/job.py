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
from components.models.building import build_model, load_model
from components.serving.export import export_model
from components.training.callbacks.checkpoints import Checkpoints
from components.training.callbacks.progress import tell
from components.training.inputs.augmentation import Augmentation
from components.training.inputs.batches import (
    damage_explained,
    epoch_counter,
    ordered_batches,
    training_batches,
)
from components.training.learner import Learner
from components.training.loop import choose_steps_per_execution, fit
from components.training.online_teacher import OnlineTeacher, online, online_with_hint
from components.training.precision import resolve_precision


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The examples of a training, as files of transformed examples and their number.

    Attributes:
      training_files: TFRecord files of the examples to train on.
      num_training_examples: How many they hold together.
      validation_files: Likewise of those to validate on.
      num_validation_examples: How many they hold together.
      image_shape: `(height, width, channels)`.
      class_names: In the order of the labels.
      prediction_files: The teacher's predictions for the examples to train on, if the objective wants them or
        the examples have no labels.
      validation_prediction_files: Those for the examples to validate on, if neither have labels: the
        teacher's most likely class then stands for the label of each.
      class_weights: The weight of the examples of each class, in the order of the labels; none for 1.
      weighted: Whether the examples have a feature `weight`.
      augmentation: Random changes to the training images.
    """

    training_files: Sequence[str]
    num_training_examples: int
    validation_files: Sequence[str]
    num_validation_examples: int
    image_shape: tuple[int, int, int]
    class_names: Sequence[str]
    prediction_files: Sequence[str] = ()
    validation_prediction_files: Sequence[str] = ()
    class_weights: Sequence[float] = ()
    weighted: bool = False
    augmentation: Augmentation | None = None

    @property
    def has_labels(self) -> bool:
        """Whether the examples have labels of their own."""
        return not self.validation_prediction_files


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model, and how it is trained.

    Two trainings of one architecture, seed and data start from the same weights and see the same
    batches in the same order, whatever their objectives.

    Attributes:
      name: How to call the model in messages.
      architecture: A registered name or an import path.
      epochs: Passes over the training data.
      batch_size: Examples in a batch, over all devices.
      learning_rate: Adam's.
      seed: Decides the initial weights, dropout and the order of the examples.
      precision: Keras dtype policy, or `auto`; see `resolve_precision`.
      strategy: `mirrored` spreads each batch over all GPUs.
      fine_tuning: For an architecture of `keras.applications`. The history of the head's epochs goes below
        `head` in the directory of the run; the weights of its best epoch are trained on.
    """

    name: str
    architecture: str
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    precision: str = "float32"
    strategy: Literal["single", "mirrored"] = "single"
    fine_tuning: FineTuning | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a training writes: the `.keras` file, the SavedModel, and its history and logs."""

    keras_file: str
    serving_dir: str
    run_dir: str


def train_and_export(
    data: TrainingData,
    recipe: Recipe,
    *,
    objective: keras.losses.Loss,
    transform_graph: str,
    destination: Destination,
    teacher: OnlineTeacher | None = None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Trains a model as `train_model` does, and writes it.

    Args:
      data: What to train and validate on.
      recipe: The model, and how it is trained.
      objective: What to minimise; see `Learner`.
      transform_graph: Directory of the Transform node's graph.
      destination: Where to write.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      checkpoints: From which to go on after an interruption; removed once all is written. None saves none.

    Raises:
      InputError: See `train_model`.
    """
    model = train_model(
        data,
        recipe,
        objective=objective,
        run_dir=destination.run_dir,
        teacher=teacher,
        checkpoints=checkpoints,
    )
    export_model(
        model,
        class_names=data.class_names,
        image_shape=data.image_shape,
        transform_graph=transform_graph,
        keras_file=destination.keras_file,
        serving_dir=destination.serving_dir,
    )
    if checkpoints is not None:
        checkpoints.remove()


def train_model(
    data: TrainingData,
    recipe: Recipe,
    *,
    objective: keras.losses.Loss,
    run_dir: str,
    teacher: OnlineTeacher | None = None,
    checkpoints: Checkpoints | None = None,
) -> keras.Model:
    """Builds a model and trains it.

    Args:
      data: What to train and validate on.
      recipe: The model, and how it is trained.
      objective: What to minimise; see `Learner`.
      run_dir: Where the history and the logs go.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      checkpoints: From which to go on after an interruption; None saves none.

    Returns:
      The model, with the weights of its best epoch.

    Raises:
      InputError: The architecture does not fit the data, the hint does not fit the models, training
        diverged, or a file of the data is damaged.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    precision = resolve_precision(recipe.precision)
    if precision != recipe.precision:
        tell(f"trains in {precision}", name=recipe.name)
    epoch = epoch_counter()
    damage = damage_explained(
        example_files=[*data.training_files, *data.validation_files],
        prediction_files=[*data.prediction_files, *data.validation_prediction_files],
    )
    with _scope(recipe.strategy), damage:
        model = _build(recipe, data=data, precision=precision)
        train = functools.partial(
            fit,
            training_data=_training_batches(data, recipe, epoch=epoch),
            validation_data=_validation_batches(data, recipe),
            epoch=epoch,
            name=recipe.name,
            steps_per_execution=choose_steps_per_execution(
                image_shape=data.image_shape, batch_size=recipe.batch_size
            ),
            reference="labels" if data.has_labels else "teacher",
            precision=precision,
            checkpoints=checkpoints,
        )
        if recipe.fine_tuning and recipe.fine_tuning.head_epochs:
            with applications.frozen_body(model):
                train(
                    _learner(model, objective=objective, teacher=teacher),
                    epochs=recipe.fine_tuning.head_epochs,
                    learning_rate=recipe.fine_tuning.head_learning_rate,
                    run_dir=pathlib.Path(run_dir) / "head",
                    phase="head",
                )
        train(
            # Made after the model, whose initial weights and dropout then do not depend on the teacher.
            _learner(model, objective=objective, teacher=teacher),
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            run_dir=pathlib.Path(run_dir),
        )
    return model


def _scope(strategy: str) -> contextlib.AbstractContextManager[object]:
    return tf.distribute.MirroredStrategy().scope() if strategy == "mirrored" else contextlib.nullcontext()


def _build(recipe: Recipe, *, data: TrainingData, precision: str) -> keras.Model:
    if recipe.fine_tuning is None:
        architecture = registry.load(recipe.architecture)
    else:
        architecture = applications.architecture(
            recipe.architecture, weights_file=recipe.fine_tuning.weights_file
        )
    return build_model(
        architecture,
        name=recipe.architecture,
        image_shape=data.image_shape,
        num_classes=len(data.class_names),
        precision=precision,
    )


def _learner(model: keras.Model, *, objective: keras.losses.Loss, teacher: OnlineTeacher | None) -> Learner:
    if teacher is None:
        return Learner(model=model, objective=objective)
    loaded = load_model(teacher.keras_file)
    if teacher.hint is None:
        return Learner(model=model, objective=objective, teacher=online(loaded))
    ask, shown = online_with_hint(loaded, student=model, hint=teacher.hint)
    return Learner(model=model, objective=objective, teacher=ask, shown=shown)


def _training_batches(data: TrainingData, recipe: Recipe, *, epoch: tf.Variable) -> tf.data.Dataset:
    return training_batches(
        data.training_files,
        num_examples=data.num_training_examples,
        image_shape=data.image_shape,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        epoch=epoch,
        prediction_files=data.prediction_files,
        num_classes=len(data.class_names),
        labels=data.has_labels,
        class_weights=data.class_weights,
        weighted=data.weighted,
        augmentation=data.augmentation,
    )


def _validation_batches(data: TrainingData, recipe: Recipe) -> tf.data.Dataset:
    return ordered_batches(
        data.validation_files,
        num_examples=data.num_validation_examples,
        image_shape=data.image_shape,
        batch_size=recipe.batch_size,
        prediction_files=data.validation_prediction_files,
        num_classes=len(data.class_names),
    )
