"""A training from files to files: what the nodes that train have in common."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf

from components.models import registry
from components.training.augmentation import Augmentation
from components.training.data import epoch_counter, ordered_batches, training_batches
from components.training.export import export_model
from components.training.learner import Learner
from components.training.loop import choose_steps_per_execution, fit
from components.training.models import build_model
from components.training.teaching import Hint, load_teacher, online, online_with_hint


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The examples of a training, as files of transformed examples and their number."""

    training_files: Sequence[str]
    num_training_examples: int
    validation_files: Sequence[str]
    num_validation_examples: int
    image_shape: tuple[int, int, int]
    class_names: Sequence[str]
    prediction_files: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a training writes: the `.keras` file, the SavedModel, and its history and logs."""

    keras_file: str
    serving_dir: str
    run_dir: str


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
    teacher_file: str | None = None,
    hint: Hint | None = None,
    augmentation: Augmentation | None = None,
) -> None:
    """Builds a model, trains it, and writes it with its history.

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
      precision: Keras dtype policy.
      strategy: `mirrored` spreads each batch over all GPUs.
      transform_graph: Directory of the Transform node's graph.
      destination: Where to write.
      teacher_file: The `.keras` file of a teacher that runs in each training step, for objectives that want
        its logits and are given no predictions.
      hint: Layers of that teacher and of the model that the objective compares.
      augmentation: Random changes to the training images.

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
            registry.load(architecture),
            name=architecture,
            image_shape=data.image_shape,
            num_classes=len(data.class_names),
            precision=precision,
        )
        fit(
            # Made after the model, whose initial weights and dropout then do not depend on the teacher.
            _learner(model, objective=objective, teacher_file=teacher_file, hint=hint),
            training_data=training_batches(
                data.training_files,
                num_examples=data.num_training_examples,
                image_shape=data.image_shape,
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                prediction_files=data.prediction_files,
                num_classes=len(data.class_names),
                augmentation=augmentation,
            ),
            validation_data=ordered_batches(
                data.validation_files,
                num_examples=data.num_validation_examples,
                image_shape=data.image_shape,
                batch_size=batch_size,
            ),
            epoch=epoch,
            name=name,
            epochs=epochs,
            learning_rate=learning_rate,
            steps_per_execution=choose_steps_per_execution(
                image_shape=data.image_shape, batch_size=batch_size
            ),
            run_dir=pathlib.Path(destination.run_dir),
        )
    export_model(
        model,
        class_names=data.class_names,
        image_shape=data.image_shape,
        transform_graph=transform_graph,
        keras_file=destination.keras_file,
        serving_dir=destination.serving_dir,
    )


def _learner(
    model: keras.Model, *, objective: keras.losses.Loss, teacher_file: str | None, hint: Hint | None
) -> Learner:
    if teacher_file is None:
        return Learner(model=model, objective=objective)
    teacher = load_teacher(teacher_file)
    if hint is None:
        return Learner(model=model, objective=objective, teacher=online(teacher))
    ask, shown = online_with_hint(teacher, student=model, hint=hint)
    return Learner(model=model, objective=objective, teacher=ask, shown=shown)
