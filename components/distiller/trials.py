"""What was tried in a search, and what became of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import InputError
from components.layout import SEARCH_FILE
from components.storage.files import is_file, read_json, write_json
from components.storage.uri import join
from components.training.callbacks.divergence import Divergence


@dataclasses.dataclass(frozen=True)
class Trial:
    """A variant that was tried.

    Attributes:
      settings: Its values for the keys of several.
      history: Its training, as it was written.
      divergence: How that diverged; None if it did not.
    """

    settings: Mapping[str, float]
    history: Mapping[str, Any]
    divergence: Divergence | None = None


def write_trials(model_run: str, trials: Sequence[Trial]) -> None:
    """Writes what was tried beside the history of the winner."""
    tried = [dataclasses.asdict(trial) for trial in trials]
    write_json(join(model_run, SEARCH_FILE), {"variants": tried})


def read_trials(model_run: str) -> list[Trial]:
    """Reads what was tried in a training; nothing, if it was of one variant."""
    uri = join(model_run, SEARCH_FILE)
    return [_read(**trial) for trial in read_json(uri)["variants"]] if is_file(uri) else []


def _read(
    settings: Mapping[str, float], history: Mapping[str, Any], divergence: Mapping[str, Any] | None = None
) -> Trial:
    return Trial(settings, history, Divergence(**divergence) if divergence else None)


def all_diverged(trials: Sequence[Trial], *, name: str) -> InputError:
    """Makes the error of a search of which every variant diverged.

    Args:
      trials: All that was tried.
      name: How to call the search.
    """
    first, *others = (trial.divergence.problem for trial in trials if trial.divergence)
    among = f"Each of the {len(trials)} variants of {name} diverged; of the first: " if others else ""
    return InputError(f"{among}{first}")
