"""What is checked of the data before anything is trained on it."""

from typing import Literal, Self

from pydantic import model_validator

from components.settings.base import Fraction, Settings, custom_error


class DriftSettings(Settings):
    """From which Jensen-Shannon distance on, in [0, 1], a drift is told, and from which on it stops the run.

    Attributes:
      warn: A significant drift of at least this distance is told; None tells none.
      stop: One of at least this distance stops the run; None stops at none.
    """

    warn: Fraction | None = 0.1
    stop: Fraction | None = None

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        if self.warn is not None and self.stop is not None and self.stop < self.warn:
            raise custom_error(
                f"stop: got {self.stop:g}, less than warn ({self.warn:g}), but what stops a run is more than "
                "what is told; raise it, or lower warn"
            )
        return self


Duplicates = Literal["warn", "refuse"]


class DataCheckSettings(Settings):
    """What the node that checks the data is told.

    Attributes:
      drift: From what the champion was trained on.
      duplicates: Whether images that are among both the training and the held-out ones are told or refused.
      significance_level: Of the tests of drift.
    """

    drift: DriftSettings
    duplicates: Duplicates
    significance_level: float
