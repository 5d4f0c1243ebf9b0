"""A training from files to files: what the nodes that train have in common.

Two trainings of one architecture, seed and data start from the same weights and see the same batches in the
same order, whatever their objectives.
"""

import dataclasses
import functools
import math
import pathlib

import keras
import tensorflow as tf

from components.errors import InputError
from components.models import applications, registry
from components.models.building import build_model, load_model
from components.models.fine_tuning import can_train_head, frozen_body
from components.serving.export import export_model
from components.settings.models import ContinuedModel, FineTunedModel
from components.settings.optimization import Constant
from components.settings.training import TrainingJob
from components.telling import tell
from components.training.callbacks.checkpoints import Checkpoints
from components.training.callbacks.history import write_untrained
from components.training.hardware import devices
from components.training.hardware.precision import resolve_precision
from components.training.inputs.batches import (
    damage_explained,
    epoch_counter,
    ordered_batches,
    training_batches,
)
from components.training.inputs.training_data import TrainingData
from components.training.learner import Learner
from components.training.loop import ONLY_TRAINING, Batches, fit
from components.training.online_teacher import OnlineTeacher, online, online_with_features
from components.training.start.continued import continue_model
from components.training.start.earlier import warm_up

# Memory that the images to validate on may take, as float32, so that they are read once in a training.
_KEPT_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a training writes: the `.keras` file, the SavedModel, and its history and logs."""

    keras_file: str
    serving_dir: str
    run_dir: str


def train_and_export(
    job: TrainingJob,
    data: TrainingData,
    *,
    objective: keras.losses.Loss,
    transform_graph: str,
    destination: Destination,
    teacher: OnlineTeacher | None = None,
    checkpoints: Checkpoints | None = None,
    phase: str = ONLY_TRAINING,
    epochs: range | None = None,
) -> None:
    """Trains a model as `train_model` does, and writes it.

    Args:
      job: The model, and how it is trained.
      data: What to train and validate on.
      objective: What to minimise; see `Learner`.
      transform_graph: Directory of the Transform node's graph.
      destination: Where to write.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      checkpoints: From which to go on after an interruption; removed once all is written. None saves none.
      phase: See `fit`.
      epochs: See `fit`.

    Raises:
      DivergenceError: See `fit`; no model is written then.
      InputError: See `train_model`.
    """
    model = train_model(
        job,
        data,
        objective=objective,
        run_dir=destination.run_dir,
        teacher=teacher,
        checkpoints=checkpoints,
        phase=phase,
        epochs=epochs,
    )
    export(model, job, data, transform_graph=transform_graph, destination=destination)
    if checkpoints is not None:
        checkpoints.remove()


def export(
    model: keras.Model,
    job: TrainingJob,
    data: TrainingData,
    *,
    transform_graph: str,
    destination: Destination,
) -> None:
    """Writes a model as a `.keras` file and as a SavedModel.

    Args:
      model: From images `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
      job: Says what images it takes.
      data: Has the names of the classes.
      transform_graph: Directory of the Transform node's graph.
      destination: Where to write.
    """
    export_model(
        model,
        class_names=data.class_names,
        image_shape=job.image.shape,
        transform_graph=transform_graph,
        keras_file=destination.keras_file,
        serving_dir=destination.serving_dir,
    )


def train_model(
    job: TrainingJob,
    data: TrainingData,
    *,
    objective: keras.losses.Loss,
    run_dir: str,
    teacher: OnlineTeacher | None = None,
    checkpoints: Checkpoints | None = None,
    phase: str = ONLY_TRAINING,
    epochs: range | None = None,
) -> keras.Model:
    """Builds a model and trains it.

    The history of the epochs in which a fine-tuned model's head is trained alone goes below `head` in
    `run_dir`; the weights of the best of them are trained on.

    Args:
      job: The model, and how it is trained.
      data: What to train and validate on.
      objective: What to minimise; see `Learner`.
      run_dir: Where the history and the logs go.
      teacher: Runs in each training step, for objectives that want more than stored predictions.
      checkpoints: From which to go on after an interruption; None saves none.
      phase: See `fit`.
      epochs: See `fit`.

    Returns:
      The model, with the weights of its best epoch.

    Raises:
      DivergenceError: See `fit`.
      InputError: The architecture does not fit the data, the layers to compare are not there or do not fit,
        or a file of the data is damaged.
    """
    write_untrained(run_dir)  # A training may end in its first epoch, or before it with the head alone.
    keras.backend.clear_session()
    keras.utils.set_random_seed(job.seed)
    job = _with_known_precision(job)
    damage = damage_explained(
        example_files=[*data.training_files, *data.unlabelled_files, *data.validation_files],
        prediction_files=data.all_prediction_files,
    )
    with devices.scope(job.hardware.strategy), damage:
        model, head = _build(job, num_classes=len(data.class_names))
        if warm_up(model, job):
            head = None  # Its layer of logits has been trained.
        # Made after the model, whose initial weights and dropout then do not depend on the teacher.
        make_learner = functools.partial(_make_learner, model, objective=objective, teacher=teacher)
        train = functools.partial(fit, batches=_open_batches(job, data), checkpoints=checkpoints)
        if head is not None:
            with frozen_body(model):
                train(
                    make_learner(),
                    head,
                    run_dir=pathlib.Path(run_dir, "head"),
                    phase="head" if phase == ONLY_TRAINING else f"{phase}-head",
                    # Before later epochs it has been trained.
                    epochs=range(head.model.epochs, head.model.epochs)
                    if epochs is not None and epochs.start
                    else None,
                )
        train(make_learner(), job, run_dir=pathlib.Path(run_dir), phase=phase, epochs=epochs)
    return model


def _with_known_precision(job: TrainingJob) -> TrainingJob:
    """Returns the job with a Keras dtype policy for its precision."""
    precision = resolve_precision(job.hardware.precision)
    if precision != job.hardware.precision:
        tell(f"trains in {precision}", name=job.name)
    hardware = job.hardware.model_copy(update={"precision": precision})
    return job.model_copy(update={"hardware": hardware})


def _build(job: TrainingJob, *, num_classes: int) -> tuple[keras.Model, TrainingJob | None]:
    """Returns the model, and how its layer of logits is trained alone, first; None if it is not."""
    settings = job.model
    if isinstance(settings, ContinuedModel):
        return _continue(job, settings, num_classes=num_classes)
    name = settings.architecture
    if isinstance(settings, FineTunedModel):
        architecture = applications.architecture(name, weights_file=settings.weights)
        head = _training_of_head(job, settings, epochs=settings.head_epochs)
    else:
        architecture, head = registry.load(name), None
    model = build_model(
        architecture,
        name=name,
        image_shape=job.image.shape,
        num_classes=num_classes,
        precision=job.hardware.precision,
    )
    return model, head


def _continue(
    job: TrainingJob, settings: ContinuedModel, *, num_classes: int
) -> tuple[keras.Model, TrainingJob | None]:
    continued = continue_model(
        settings.path,
        image_shape=job.image.shape,
        num_classes=num_classes,
        precision=job.hardware.precision,
    )
    epochs = settings.head_epochs
    if epochs is None:
        epochs = 0 if continued.former_classes is None else 1
    if continued.former_classes is not None:
        tell(
            f"has a new last layer for {num_classes} classes in place of that for "
            f"{continued.former_classes}; epochs in which it is trained alone: {epochs}",
            name=job.name,
        )
    if epochs and not can_train_head(continued.model):
        raise InputError(
            f"student.head_epochs: {settings.path} does not end in a keras.layers.Dense that could be "
            "trained alone; leave it out."
        )
    return continued.model, _training_of_head(job, settings, epochs=epochs)


def _make_learner(
    model: keras.Model, *, objective: keras.losses.Loss, teacher: OnlineTeacher | None
) -> Learner:
    if teacher is None:
        return Learner(model=model, objective=objective)
    loaded = load_model(teacher.keras_file)
    if teacher.layers is None:
        return Learner(model=model, objective=objective, teacher=online(loaded))
    ask, shown = online_with_features(loaded, student=model, layers=teacher.layers)
    return Learner(model=model, objective=objective, teacher=ask, shown=shown)


def _open_batches(job: TrainingJob, data: TrainingData) -> Batches:
    epoch = epoch_counter()
    validation = ordered_batches(
        data.validation_files,
        num_examples=data.num_validation_examples,
        image_shape=job.image.shape,
        batch_size=job.model.batch_size,
        prediction_files=data.validation_prediction_files,
        num_classes=len(data.class_names),
    )
    # Without the ids: of several devices TensorFlow adds up what they read, which it cannot do with text.
    validation = validation.map(lambda images, targets: (images, {"label": targets["label"]}))
    if data.num_validation_examples * math.prod(job.image.shape) * tf.float32.size <= _KEPT_BYTES:
        validation = validation.cache()  # Reading a small split again takes longer than a small model does.
    return Batches(
        training=training_batches(data, job, epoch=epoch),
        validation=validation,
        epoch=epoch,
        examples={
            "training_examples": data.num_training_examples,
            "unlabelled_examples": data.num_unlabelled_examples,
        },
    )


def _training_of_head(
    job: TrainingJob, settings: FineTunedModel | ContinuedModel, *, epochs: int
) -> TrainingJob | None:
    """Returns how the layer of logits is trained alone, first; None if it is not.

    The rate is constant, and the weights are not averaged: all of that is for the whole training.
    """
    if not epochs:
        return None
    changes = {
        "epochs": epochs,
        "learning_rate": settings.head_learning_rate,
        "schedule": Constant(name="constant"),
        "ema_decay": None,
    }
    return job.model_copy(update={"model": settings.model_copy(update=changes)})
