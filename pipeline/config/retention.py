"""The `retention` section of the configuration: what a workspace keeps of earlier runs."""

from components.settings.base import PositiveInt, Settings


class RetentionSettings(Settings):
    """How many runs of a workspace keep their artifacts and what is known of them; it changes no result.

    Attributes:
      runs: How many, the newest; None is all.
      days: How old they may be; None is any age.
    """

    runs: PositiveInt | None = 10
    days: PositiveInt | None = None
