"""The teacher that is kept from run to run, beside the versions of the students that it taught.

`teacher.json` says which file it is, and is replaced when that file is whole. Nothing here imports
TensorFlow.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from components.files import sha256, to_json
from components.layout import KEPT_TEACHER_FILE
from components.stores.store import Store

_FILE = "teacher-{}.keras"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptTeacher:
    """A teacher of an earlier run.

    Attributes:
      store: Where it lies, beside the versions.
      file: The name of its `.keras` file there.
      made_by: What must be alike for it to be kept, by names for a reader.
      runs: The ids of the runs in which it taught, the first of which trained it.
    """

    store: Store
    file: str
    made_by: Mapping[str, Any]
    runs: tuple[str, ...]

    @classmethod
    def find(cls, store: Store) -> Self | None:
        """Returns the one that is kept beside some versions; None if there is none."""
        try:
            about = json.loads(store.read(KEPT_TEACHER_FILE) or b"")
            kept = cls(store=store, file=about["file"], made_by=about["made_by"], runs=tuple(about["runs"]))
        except (ValueError, KeyError):
            return None
        return kept if kept.file in store.names() else None

    @classmethod
    def keep(cls, keras_file: pathlib.Path, *, made_by: Mapping[str, Any], run: str, store: Store) -> None:
        """Keeps a teacher that a run has trained, in place of the one before.

        Args:
          keras_file: The teacher, which is copied.
          made_by: See the attributes.
          run: The id of the run.
          store: That of the versions.
        """
        file = _FILE.format(sha256(keras_file)[:16])
        store.write(file, keras_file.read_bytes())
        cls(store=store, file=file, made_by=made_by, runs=()).teach(run)
        for other in store.names():
            if pathlib.PurePath(other).match(_FILE.format("*")) and other != file:
                store.remove(other)

    @property
    def keras_file(self) -> pathlib.Path:
        """Where on this machine it is, which may be a copy."""
        return self.store.fetch(self.file)

    def teach(self, run: str) -> None:
        """Notes that it taught in a run."""
        about = {
            "file": self.file,
            "made_by": dict(self.made_by),
            "runs": list(dict.fromkeys([*self.runs, run])),
        }
        self.store.write(KEPT_TEACHER_FILE, to_json(about))
