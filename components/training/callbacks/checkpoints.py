"""Checkpoints of a training, from which it goes on after it was killed, to the very same weights.

`keras.callbacks.BackupAndRestore` does not do that: it forgets the best weights so far and the state of
dropout's random numbers, overwrites its only checkpoint in place, and takes that of any other training for
its own.
"""

import dataclasses
import json
import logging
import pathlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from components.files import replacing
from components.telling import tell
from components.training.callbacks.best_epoch import BestEpoch
from components.training.callbacks.history import HistoryRecorder

_FILE = "{}.npz"
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """Where a training stands at the end of an epoch.

    Attributes:
      history: An entry for each epoch that is finished.
      variables: The values of all variables: weights, optimizer, random numbers.
      accuracies: The validation accuracy of each finished epoch.
      best_weights: The weights after the best of them.
    """

    history: Sequence[Mapping[str, float]]
    variables: Sequence[np.ndarray]
    accuracies: Sequence[float]
    best_weights: Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The place of a node's checkpoints, and what they must agree with to be used.

    Attributes:
      directory: Where they lie. It belongs to them alone and outlives the process; it need not exist.
      identity: All that decides the result of the training, by names for a reader.
    """

    directory: pathlib.Path
    identity: Mapping[str, str]

    def save(self, state: State, *, phase: str) -> None:
        """Puts a checkpoint in the place of the phase's last one, which stays until this one is whole.

        Args:
          state: Where the training stands.
          phase: Which training of the node it is.

        Raises:
          OSError: It cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        arrays = {f"variable {i}": _portable(value) for i, value in enumerate(state.variables)}
        arrays |= {f"best {i}": _portable(value) for i, value in enumerate(state.best_weights)}
        rest = {
            "identity": dict(self.identity),
            "history": state.history,
            "accuracies": state.accuracies,
            "counts": [len(state.variables), len(state.best_weights)],
        }
        with replacing(self._path(phase)) as partial, partial.open("wb") as file:
            np.savez(file, rest=np.array(json.dumps(rest)), **arrays)  # type: ignore[arg-type]

    def load(self, *, phase: str, name: str) -> State | None:
        """Reads the last checkpoint of a phase, and tells the user if there is one that cannot be used.

        Args:
          phase: Which training of the node it is.
          name: How to call the model in messages.

        Returns:
          The state; None if there is none of this very training, or it cannot be read.
        """
        path = self._path(phase)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                rest = json.loads(str(arrays["rest"]))
                others = self._differences(rest["identity"])
                if others:
                    tell(
                        f"ignores the checkpoint {path} of another configuration ({', '.join(others)} "
                        "changed) and starts over",
                        name=name,
                    )
                    return None
                num_variables, num_weights = rest["counts"]
                return State(  # zipfile compares the checksum of each array as it is read.
                    history=rest["history"],
                    variables=[arrays[f"variable {i}"] for i in range(num_variables)],
                    accuracies=rest["accuracies"],
                    best_weights=[arrays[f"best {i}"] for i in range(num_weights)],
                )
        except _UNREADABLE as error:
            logger.warning("%s", error, exc_info=True)
            tell(f"cannot read the checkpoint {path} and starts over", name=name, level=logging.WARNING)
            return None

    def remove(self) -> None:
        """Removes all of them, once what they were for is written."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, phase: str) -> pathlib.Path:
        return self.directory / _FILE.format(phase)

    def _differences(self, identity: Mapping[str, str]) -> list[str]:
        names = sorted({*identity, *self.identity})
        return [name for name in names if identity.get(name) != self.identity.get(name)]


class Checkpointer(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch, and restores a training from the last one.

    It saves when the next epoch begins, or the training ends: every other callback has then seen the end of
    the epoch, wherever in their list it stands.

    Args:
      checkpoints: Their place; None keeps none.
      phase: Which training of the node it is.
      name: How to call the model in messages.
      best: Keeps the best weights.
      recorder: Keeps the history.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        *,
        phase: str,
        name: str,
        best: BestEpoch,
        recorder: HistoryRecorder,
    ) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._phase = phase
        self._name = name
        self._best = best
        self._recorder = recorder
        self._saved = 0

    def restore(self, model: keras.Model, *, epochs: range, last: int) -> int:
        """Brings a compiled model, whose variables exist, to where the last checkpoint left it.

        Args:
          model: What is trained.
          epochs: Which are to be trained now, from 0; that those before them are finished is no news.
          last: How many there are in the whole training.

        Returns:
          How many epochs are finished.
        """
        if self._checkpoints is None:
            return 0
        state = self._checkpoints.load(phase=self._phase, name=self._name)
        if state is None:
            return 0
        for variable, value in zip(_variables(model), state.variables, strict=True):
            variable.assign(value)
        self._recorder.restore(state.history)
        self._best.restore(accuracies=state.accuracies, weights=state.best_weights)
        self._saved = len(state.history)
        if epochs.start < self._saved == last:
            tell("is trained already, by its last checkpoint", name=self._name)
        elif epochs.start < self._saved < epochs.stop:
            tell(f"goes on from epoch {self._saved + 1}, by its last checkpoint", name=self._name)
        return self._saved

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves what the epoch before led to."""
        self._save()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves what the last epoch led to."""
        self._save()

    def _save(self) -> None:
        """Saves, if an epoch has ended since; a training that cannot save goes on without."""
        finished = len(self._recorder.epochs)
        if self._checkpoints is None or finished == self._saved:
            return
        state = State(
            history=self._recorder.epochs,
            variables=[keras.ops.convert_to_numpy(variable) for variable in _variables(self.model)],
            accuracies=self._best.accuracies,
            best_weights=self._best.weights,
        )
        self._saved = finished
        try:
            self._checkpoints.save(state, phase=self._phase)
        except OSError as error:
            tell(
                f"cannot write its checkpoint in {self._checkpoints.directory} ({error.strerror}), and goes "
                "on without",
                name=self._name,
                level=logging.WARNING,
            )


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Returns all that changes from step to step, but for metrics, which start again with each epoch."""
    return [*model.variables, *model.optimizer.variables]


def _portable(value: np.ndarray) -> np.ndarray:
    """Widens the float types that NumPy's files do not know, such as bfloat16; nothing is lost."""
    return value.astype(np.float32) if value.dtype.kind == "V" else value
