"""One training run: seeded, watched, and ending with the weights of its best epoch."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from components.layout import HISTORY_FILE
from components.settings.training import TrainingJob
from components.training.callbacks.best_epoch import BestEpoch
from components.training.callbacks.checkpoints import Checkpointer, Checkpoints
from components.training.callbacks.divergence import StopAtDivergence
from components.training.callbacks.history import HistoryRecorder
from components.training.callbacks.progress import ProgressLogger
from components.training.learner import Learner
from components.training.optimization import make_optimizer, make_schedule

# Steps that run without returning to Python: as many as process some two million pixel values, so
# that small models are not bound by Python and large ones still report often.
_VALUES_PER_EXECUTION = 2_000_000
_MAX_STEPS_PER_EXECUTION = 64

ONLY_TRAINING = "training"  # The phase of a node that trains one model once.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batches:
    """What a training reads.

    Attributes:
      training: Batches `(images, targets)` of an epoch, of known number.
      validation: Batches `(images, targets)`.
      epoch: Is set to the number of each epoch, from 0, before its training batches are read.
      examples: How many images an epoch has, for the history: `training_examples`, and beside them
        `unlabelled_examples`.
    """

    training: tf.data.Dataset
    validation: tf.data.Dataset
    epoch: tf.Variable
    examples: Mapping[str, int] = dataclasses.field(default_factory=dict)


def fit(
    learner: Learner,
    job: TrainingJob,
    *,
    batches: Batches,
    run_dir: pathlib.Path,
    checkpoints: Checkpoints | None = None,
    phase: str = ONLY_TRAINING,
    epochs: range | None = None,
) -> None:
    """Trains a learner and gives it the weights of its best epoch.

    Writes `history.json` and TensorBoard logs below `run_dir`. With a checkpoint it goes on where that was
    saved, and ends with the weights of a training that was never interrupted.

    Args:
      learner: What to train; its model's weights are changed.
      job: How to train, and how to call the model in messages.
      batches: What to read.
      run_dir: Where the history and the logs go.
      checkpoints: Where to save one after each epoch; None saves none.
      phase: Tells the checkpoints of several trainings of one node apart.
      epochs: Which to train for now, from 0, if those before them are in the checkpoint; None is all.

    Raises:
      DivergenceError: The loss became NaN or infinite.
    """
    epochs = range(job.model.epochs) if epochs is None else epochs
    schedule = make_schedule(job.model, steps_per_epoch=len(batches.training))
    _compile(learner, job, schedule=schedule)
    best = BestEpoch()
    recorder = HistoryRecorder(
        run_dir / HISTORY_FILE,
        schedule=schedule,
        about={
            "reference": "labels" if job.labels else "teacher",
            "precision": job.hardware.precision,
            **batches.examples,
        },
    )
    checkpointer = Checkpointer(checkpoints, phase=phase, name=job.name, best=best, recorder=recorder)
    with contextlib.suppress(_PausedError):
        learner.fit(
            batches.training,
            validation_data=batches.validation,
            initial_epoch=checkpointer.restore(learner, epochs=epochs, last=job.model.epochs),
            epochs=job.model.epochs,
            shuffle=False,  # The data comes shuffled.
            verbose=0,
            callbacks=[
                # First: it gives the others the averaged weights to see, and takes them back.
                *_averaging(job),
                keras.callbacks.LambdaCallback(on_epoch_begin=lambda number, _: batches.epoch.assign(number)),
                keras.callbacks.LambdaCallback(on_epoch_begin=lambda number, _: learner.begin_epoch(number)),
                checkpointer,  # Before the recorder, so that saving is not part of an epoch's seconds.
                _PauseBefore(epochs.stop),
                StopAtDivergence(name=job.name),
                ProgressLogger(model_name=job.name, end=epochs.stop),
                recorder,
                keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
                best,
            ],
        )
    learner.set_weights(best.weights)


def _compile(
    learner: Learner, job: TrainingJob, *, schedule: keras.optimizers.schedules.LearningRateSchedule
) -> None:
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    learner.compile(
        optimizer=make_optimizer(
            job.model, schedule=schedule, weights=learner.trainable_variables, devices=devices
        ),
        steps_per_execution=choose_steps_per_execution(
            image_shape=job.image.shape,
            batch_size=job.model.batch_size,
            devices=devices,
        ),
        jit_compile=False,  # On processors, XLA made every model of configs/ slower.
    )
    # Else the first step makes the variables, and has to be traced twice for that.
    learner.optimizer.build(learner.trainable_variables)


def _averaging(job: TrainingJob) -> list[keras.callbacks.Callback]:
    """Shows the averaged weights, if there are any, from the validation to the end of an epoch."""
    return [] if job.model.ema_decay is None else [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]


def choose_steps_per_execution(
    *, image_shape: tuple[int, int, int], batch_size: int, devices: int = 1
) -> int:
    """Returns how many steps to run without returning to Python."""
    if devices > 1:
        return 1  # TensorFlow 2.21 fails on a loop of steps that are spread over several devices.
    values_per_step = math.prod(image_shape) * batch_size
    return max(1, min(_MAX_STEPS_PER_EXECUTION, _VALUES_PER_EXECUTION // values_per_step))


class _PausedError(Exception):
    """Ends a training that goes on later."""


class _PauseBefore(keras.callbacks.Callback):
    """Leaves a training before an epoch as a kill would: Keras's own end would change averaged weights.

    Args:
      epoch: Its number, from 0; the checkpoint of the epoch before must have been saved.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch >= self._epoch:
            raise _PausedError
