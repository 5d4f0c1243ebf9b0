"""The teacher that is kept from run to run, beside the versions of the students that it taught.

`teacher.json` says which file it is, and is replaced when that file is whole. Nothing here imports
TensorFlow.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, Self

from components.files import read_json, replacing, sha256, write_json
from components.layout import KEPT_TEACHER_FILE

_FILE = "teacher-{}.keras"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptTeacher:
    """A teacher of an earlier run.

    Attributes:
      keras_file: Where it is.
      made_by: What must be alike for it to be kept, by names for a reader.
      runs: The ids of the runs in which it taught, the first of which trained it.
    """

    keras_file: pathlib.Path
    made_by: Mapping[str, Any]
    runs: tuple[str, ...]

    @classmethod
    def find(cls, directory: pathlib.Path) -> Self | None:
        """Returns the one that is kept beside some versions; None if there is none."""
        try:
            about = read_json(directory / KEPT_TEACHER_FILE)
            kept = cls(
                keras_file=directory / about["file"], made_by=about["made_by"], runs=tuple(about["runs"])
            )
        except (OSError, ValueError, KeyError):
            return None
        return kept if kept.keras_file.is_file() else None

    @classmethod
    def keep(
        cls, keras_file: pathlib.Path, *, made_by: Mapping[str, Any], run: str, directory: pathlib.Path
    ) -> None:
        """Keeps a teacher that a run has trained, in place of the one before.

        Args:
          keras_file: The teacher, which is copied.
          made_by: See the attributes.
          run: The id of the run.
          directory: That of the versions.
        """
        place = directory / _FILE.format(sha256(keras_file)[:16])
        with replacing(place) as partial:
            shutil.copyfile(keras_file, partial)
        cls(keras_file=place, made_by=made_by, runs=()).teach(run)
        for other in directory.glob(_FILE.format("*")):
            if other != place:
                other.unlink()

    def teach(self, run: str) -> None:
        """Notes that it taught in a run."""
        about = {
            "file": self.keras_file.name,
            "made_by": dict(self.made_by),
            "runs": list(dict.fromkeys([*self.runs, run])),
        }
        write_json(self.keras_file.with_name(KEPT_TEACHER_FILE), about)
