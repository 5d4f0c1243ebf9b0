"""What becomes of a training whose loss is no longer a finite number."""

import dataclasses
import math
from typing import Any

import keras

from components.errors import InputError
from components.layout import DIVERGENCE_FILE
from components.storage.files import is_file, read_json, write_json
from components.storage.uri import join


@dataclasses.dataclass(frozen=True, kw_only=True)
class Divergence:
    """How a training diverged.

    Attributes:
      epoch: In which epoch, from 1.
      problem: What happened, and the way out, in a sentence.
    """

    epoch: int
    problem: str


class DivergenceError(InputError):
    """The loss of a training became NaN or infinite.

    Attributes:
      divergence: How.
    """

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.problem)
        self.divergence = divergence


class StopAtDivergence(keras.callbacks.Callback):
    """Stops a training whose loss is no longer a finite number.

    Args:
      name: How to call the model in messages.
    """

    def __init__(self, *, name: str) -> None:
        super().__init__()
        self._name = name
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the mean loss of the epoch so far."""
        if logs and not math.isfinite(logs["loss"]):
            step = int(logs["finite_steps"]) + 1
            self._stop(
                f"The loss of {self._name} became {logs['loss']} in epoch {self._epoch}, step {step}; "
                "lower its learning_rate, or look for broken images."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the validation loss."""
        if logs and not math.isfinite(logs["val_loss"]):
            self._stop(
                f"The validation loss of {self._name} became {logs['val_loss']} after epoch {self._epoch}; "
                "lower its learning_rate, or look for broken images."
            )

    def _stop(self, problem: str) -> None:
        raise DivergenceError(Divergence(epoch=self._epoch, problem=problem))


def write_divergence(model_uri: str, divergence: Divergence) -> None:
    """Writes how a training diverged in the place of its model."""
    write_json(join(model_uri, DIVERGENCE_FILE), dataclasses.asdict(divergence))


def read_divergence(model_uri: str) -> Divergence | None:
    """Reads how a training diverged from its `model` artifact; None if that holds a model."""
    uri = join(model_uri, DIVERGENCE_FILE)
    return Divergence(**read_json(uri)) if is_file(uri) else None
