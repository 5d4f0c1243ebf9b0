"""The distilled students that are evaluated: of the variants of each distillation, the best on validation."""

import dataclasses
from collections.abc import Mapping

from tfx.types import Artifact

from components.distiller.halving import Trial, read_trials
from components.evaluator.judge.verdict import choose_candidate
from components.report.summary import History, Variant
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


def read_student(inputs: Mapping[str, Artifact], *, distillers: Mapping[str, Mapping[str, float]]) -> Student:
    """Chooses a student by the histories of all variants of a distillation.

    Args:
      inputs: The inputs of the Evaluator.
      distillers: The names of the Distillers that trained variants, with the values of the variant of each;
        one that trained several has noted theirs.
    """
    tried = [
        (name, settings, History(**history))
        for name, own in distillers.items()
        for settings, history in _trials(inputs[run_key(name)].uri, own=own)
    ]
    best = choose_candidate({number: history for number, (_, _, history) in enumerate(tried)})
    name, _, history = tried[best]
    return Student(
        model=inputs[model_key(name)],
        history=history,
        variants=tuple(
            _describe(settings, each, chosen=number == best)
            for number, (_, settings, each) in enumerate(tried)
        ),
    )


def _trials(model_run: str, *, own: Mapping[str, float]) -> list[Trial]:
    return read_trials(model_run) or [Trial(own, read_history(model_run))]


def _describe(settings: Mapping[str, float], history: History, *, chosen: bool) -> Variant:
    return Variant(
        settings=settings,
        chosen=chosen,
        best_epoch=history.best.epoch,
        epochs=len(history.epochs),
        val_accuracy=history.best.val_accuracy,
        val_loss=history.best.val_loss,
    )
