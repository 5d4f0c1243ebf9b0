"""The distilled students that are evaluated: of the variants of each distillation, the best on validation."""

import dataclasses
from collections.abc import Mapping

from tfx.types import Artifact

from components.distiller.trials import Trial, all_diverged, read_trials
from components.evaluator.judge.verdict import choose_candidate
from components.report.summary import History, Variant
from components.training.callbacks.divergence import read_divergence
from components.training.callbacks.history import read_history


def model_key(name: str) -> str:
    """Returns the input key of the model of a Distiller."""
    return f"student_{name}"


def run_key(name: str) -> str:
    """Returns the input key of the history of a Distiller's model."""
    return f"run_{name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A distilled student, chosen on validation among the variants of its distillation.

    Attributes:
      model: The `model` artifact of the best variant.
      history: Its training.
      variants: All that were tried, itself among them.
    """

    model: Artifact
    history: History
    variants: tuple[Variant, ...]


def read_student(
    inputs: Mapping[str, Artifact], *, name: str, distillers: Mapping[str, Mapping[str, float]]
) -> Student:
    """Chooses a student by the histories of all variants of a distillation that did not diverge.

    Args:
      inputs: The inputs of the Evaluator.
      name: Of the distillation.
      distillers: The names of the Distillers that trained variants, with the values of the variant of each;
        one that trained several has noted theirs.

    Raises:
      InputError: All of them diverged.
    """
    tried = [
        (distiller, trial)
        for distiller, own in distillers.items()
        for trial in _trials(inputs, distiller, own=own)
    ]
    histories = {
        number: History(**trial.history)
        for number, (_, trial) in enumerate(tried)
        if trial.divergence is None
    }
    if not histories:
        raise all_diverged([trial for _, trial in tried], name=name)
    best = choose_candidate(histories)
    distiller, _ = tried[best]
    return Student(
        model=inputs[model_key(distiller)],
        history=histories[best],
        variants=tuple(_describe(trial, chosen=number == best) for number, (_, trial) in enumerate(tried)),
    )


def _trials(inputs: Mapping[str, Artifact], distiller: str, *, own: Mapping[str, float]) -> list[Trial]:
    model_run = inputs[run_key(distiller)].uri
    divergence = read_divergence(inputs[model_key(distiller)].uri)
    return read_trials(model_run) or [Trial(own, read_history(model_run), divergence)]


def _describe(trial: Trial, *, chosen: bool) -> Variant:
    history = History(**trial.history)
    if trial.divergence is not None:
        return Variant(
            settings=trial.settings,
            chosen=False,
            diverged_in=trial.divergence.epoch,
            best_epoch=None,
            epochs=len(history.epochs),
            val_accuracy=None,
            val_loss=None,
        )
    return Variant(
        settings=trial.settings,
        chosen=chosen,
        best_epoch=history.best.epoch,
        epochs=len(history.epochs),
        val_accuracy=history.best.val_accuracy,
        val_loss=history.best.val_loss,
    )
