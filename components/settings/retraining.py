"""What a run takes over from the runs before it."""

from typing import Annotated, Literal

from pydantic import Field

from components.settings.base import PositiveInt, Settings


class KeepTeacher(Settings):
    """Until when a teacher is kept, instead of another being trained in each run.

    Attributes:
      min_accuracy: What it must reach on the validation split of the newest data, a share of 1.
      runs: In how many runs it teaches at most.
    """

    min_accuracy: Annotated[float, Field(gt=0, le=1)]
    runs: PositiveInt = 10


class RetrainingSettings(Settings):
    """What a run takes over from the runs before it; nothing by default.

    Attributes:
      student_start: Whose weights every student starts from, Scratch too: random ones, or those of the
        student that ships.
      keep_teacher: Until when a teacher is kept; None trains one in each run.
    """

    student_start: Literal["scratch", "champion"] = "scratch"
    keep_teacher: KeepTeacher | None = None


class WarmStart(Settings):
    """The student whose weights a training starts from.

    Attributes:
      directory: That of the versions that were pushed.
      version: Which, or `none`; if it is empty, the one that ships.
    """

    directory: str
    version: str


class Keeping(KeepTeacher):
    """Where a teacher of earlier runs may be, and until when it is kept.

    Attributes:
      directory: That of the versions that were pushed, where it lies too.
      fingerprint: Changes nothing but the cache's key, when there is another.
    """

    directory: str
    fingerprint: str = ""
