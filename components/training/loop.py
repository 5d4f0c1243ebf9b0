"""One training run: seeded, watched, and ending with the weights of its best epoch."""

import math
import pathlib
from typing import Any, Literal

import keras
import tensorflow as tf

from components.errors import InputError
from components.layout import HISTORY_FILE
from components.training.callbacks.checkpoints import Checkpointer, Checkpoints
from components.training.callbacks.history import HistoryRecorder
from components.training.callbacks.progress import ProgressLogger
from components.training.learner import Learner
from components.training.optimizer import FusedAdam

# Steps that run without returning to Python: as many as process some two million pixel values, so
# that small models are not bound by Python and large ones still report often.
_VALUES_PER_EXECUTION = 2_000_000
_MAX_STEPS_PER_EXECUTION = 64


def fit(
    learner: Learner,
    *,
    training_data: tf.data.Dataset,
    validation_data: tf.data.Dataset,
    epoch: tf.Variable,
    name: str,
    epochs: int,
    learning_rate: float,
    steps_per_execution: int,
    run_dir: pathlib.Path,
    precision: str = "float32",
    reference: Literal["labels", "teacher"] = "labels",
    checkpoints: Checkpoints | None = None,
    phase: str = "training",
) -> None:
    """Trains a learner with Adam and restores the weights of the epoch that validated best.

    The best epoch has the highest validation accuracy; of equals, the earliest. Writes
    `history.json` and TensorBoard logs below `run_dir`. With a checkpoint it goes on where that was
    saved, and ends with the weights of a training that was never interrupted.

    Args:
      learner: What to train; its model's weights are changed.
      training_data: Batches `(images, targets)` of an epoch, of known number.
      validation_data: Batches `(images, targets)`.
      epoch: Told the number of each epoch before its data is read.
      name: How to call the model in messages.
      epochs: Passes over the training data.
      learning_rate: Adam's.
      steps_per_execution: Steps that run without returning to Python.
      run_dir: Where the history and the logs go.
      precision: Keras dtype policy of the model's layers, for the history.
      reference: Whose classes the targets hold, for the history: with the teacher's, an accuracy is the
        agreement with it.
      checkpoints: Where to save one at the end of each epoch; None saves none.
      phase: Tells the checkpoints of several trainings of one node apart.

    Raises:
      InputError: The loss became NaN or infinite.
    """
    learner.compile(
        optimizer=FusedAdam(learning_rate),
        steps_per_execution=steps_per_execution,
        jit_compile=False,  # On processors, XLA made every model of configs/ slower.
    )
    recorder = HistoryRecorder(run_dir / HISTORY_FILE, about={"reference": reference, "precision": precision})
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=epochs, restore_best_weights=True, start_from_epoch=0
    )
    checkpointer = Checkpointer(checkpoints, phase=phase, name=name, best=best, recorder=recorder)
    learner.fit(
        training_data,
        validation_data=validation_data,
        initial_epoch=checkpointer.restore(learner, epochs=epochs),
        epochs=epochs,
        shuffle=False,  # The data comes shuffled.
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda number, _: epoch.assign(number)),
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda number, _: learner.begin_epoch(number)),
            _StopAtDivergence(name=name),
            ProgressLogger(model_name=name),
            recorder,
            keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
            best,
            checkpointer,
        ],
    )


def choose_steps_per_execution(*, image_shape: tuple[int, int, int], batch_size: int) -> int:
    """Returns how many steps to run without returning to Python."""
    values_per_step = math.prod(image_shape) * batch_size
    return max(1, min(_MAX_STEPS_PER_EXECUTION, _VALUES_PER_EXECUTION // values_per_step))


class _StopAtDivergence(keras.callbacks.Callback):
    """Stops a training whose loss is no longer a finite number."""

    def __init__(self, *, name: str) -> None:
        super().__init__()
        self._name = name
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if logs and not math.isfinite(logs["loss"]):
            step = int(logs["finite_steps"]) + 1
            raise InputError(
                f"The loss of {self._name} became {logs['loss']} in epoch {self._epoch + 1}, step {step}; "
                "lower its learning_rate, or look for broken images."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs and not math.isfinite(logs["val_loss"]):
            raise InputError(
                f"The validation loss of {self._name} became {logs['val_loss']} after epoch {epoch + 1}; "
                "lower its learning_rate, or look for broken images."
            )
