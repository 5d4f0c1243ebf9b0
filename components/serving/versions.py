"""The directory that students are pushed to: its versions, which of them ships, and what became of each.

A version is whole before it can be found, and its name is a number that only grows. `champion.json` says
which one ships, and `history.jsonl` has a line for each change. Nothing here imports TensorFlow.
"""

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import json
import math
import pathlib
import time
import zipfile
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from components.errors import InputError, first_few
from components.files import to_json
from components.layout import (
    CHAMPION_FILE,
    CLASSES_ASSET,
    KERAS_ASSET,
    PUSH_HISTORY_FILE,
    REFUSED_DIRECTORY,
    SAVED_MODEL_FILE,
    is_keras_file,
)
from components.storage.uri import is_remote
from components.stores.store import Store, open_store

NO_VERSION: Final = "none"  # What stands for a version where there is none.

_REFUSED_KEPT = 3
_STUDENT = "student"  # Among the fingerprints.
_WEIGHTS = "model.weights.h5"  # In a `.keras` file: the same bytes for the same weights.

Event = Literal["pushed", "refused", "rolled back", "promoted"]
_BY_A_RUN = ("pushed", "refused")
_BY_A_PERSON = ("rolled back", "promoted")


class OvertakenError(InputError):
    """Another student ships by now than when this one was judged: it has to be compared with that one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a version comes from, and why it ships or does not.

    Attributes:
      reason: The verdict, or what the person said who decided.
      student: The name of the student; empty, as is what follows, where that was never noted.
      run: The id of the run that made it.
      accuracy: On the test split of that run, a share of 1.
      test_examples: How many images that split had.
      metrics: All that was measured of it there, by the names of the metrics; None where one is undefined.
      spans: The spans of that run's data, with their versions, as in `2026-01-03` and `7/2`.
      fingerprints: SHA-256 of the images and labels of that run, `data`, and of the student's weights and
        classes, `student`.
      reference_accuracy: On the reference images of that run, if there were any.
    """

    reason: str
    student: str = ""
    run: str = ""
    accuracy: float | None = None
    test_examples: int | None = None
    metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    spans: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reference_accuracy: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry(Origin):
    """A line of the history.

    Attributes:
      time: When it happened: ISO 8601, UTC.
      event: What happened.
      version: Of the student; it ships from then on, unless it was refused.
    """

    time: str
    event: Event
    version: str


@dataclasses.dataclass(frozen=True)
class Versions:
    """The versions of a student.

    Attributes:
      directory: Their directory, a path or the URI of an object store; it need not exist.
    """

    directory: pathlib.Path | str

    @functools.cached_property
    def store(self) -> Store:
        """What is in the directory."""
        return open_store(self.directory)

    def location(self, version: str) -> str:
        """Returns the path or the URI of a version."""
        return self.store.location(version)

    def fetch(self, version: str) -> pathlib.Path:
        """Returns where on this machine a version lies, which may be a copy of it."""
        return self.store.fetch(version)

    def shipping(self) -> str | None:
        """Returns the version that ships: the champion or, where nothing says which it is, the newest."""
        whole = self.whole()
        champion = self.champion()
        if champion is not None and champion.version in whole:
            return champion.version
        return whole[-1] if whole else None

    def incumbent(self, version: str) -> str | None:
        """Returns the version that a new student stands up to.

        Args:
          version: Which, or `none`; if it is empty, the one that ships now.
        """
        found = version or self.shipping()
        return None if found == NO_VERSION else found

    def whole(self) -> list[str]:
        """Returns all versions that can be loaded, the newest last."""
        return _numbers(self.store.directories_with(SAVED_MODEL_FILE))

    def champion(self) -> Entry | None:
        """Reads which version ships, and since when; None if that was never written, or cannot be read."""
        return _read_entry(self.store.read(CHAMPION_FILE) or b"")

    def history(self) -> list[Entry]:
        """Reads all changes, the oldest first; a line that was cut short is left out."""
        lines = (self.store.read(PUSH_HISTORY_FILE) or b"").splitlines()
        return [entry for line in lines if (entry := _read_entry(line)) is not None]

    def last_pushed(self) -> str | None:
        """Returns the version that a run pushed last, whether it still ships or not."""
        pushed = [entry.version for entry in self.history() if entry.event == "pushed"]
        return next(iter([*pushed[::-1], *self.whole()[::-1]]), None)

    def fallback(self) -> str | None:
        """Returns the version that shipped before the one that ships now, if it is still there."""
        shipped = self._in_order_of_shipping()
        now = self.shipping()
        before = shipped[: shipped.index(now)] if now in shipped else shipped
        return before[-1] if before else None

    def runs_needed(self) -> set[str]:
        """Returns the ids of the runs that made what ships and what it would fall back to."""
        needed = (self.shipping(), self.fallback())
        return {entry.run for entry in self.history() if entry.version in needed and entry.run}

    def push(
        self,
        model: pathlib.Path,
        *,
        origin: Origin,
        keras_file: pathlib.Path | None = None,
        keep: int | None = None,
        after: str | None = None,
    ) -> Entry:
        """Adds a version, which then ships; not of a student that ships, or that a person has taken back.

        Args:
          model: The directory of a SavedModel, which is copied.
          origin: Where it comes from.
          keras_file: The same network as a `.keras` file, from which a later training may start.
          keep: How many versions to keep, beside the one that ships and the one it would fall back to, which
            always stay; None removes none.
          after: Which version shipped, or `none`, when the student was judged; None does not ask.

        Returns:
          What was noted, now or when the same student was pushed before.

        Raises:
          OvertakenError: Another version ships now.
        """
        student = _fingerprint(model, keras_file)
        with self.locked(create=True):
            now = self.shipping() or NO_VERSION
            before = self._find(student, among=self.whole())
            if before is not None and (before.version == now or self._was_taken_back(before.version)):
                if keep is not None:
                    self._prune(keep)
                return before
            if after not in (None, now):
                raise OvertakenError(
                    f"The student was compared with {_in_words(after)}, but {_in_words(now)} ships by now; "
                    "run again to compare it with that one."
                )
            version = self._left_behind(student)
            if version is None:
                version = self._next()
                self.store.add(version, _files(model, keras_file))
            entry = self._note("pushed", version=version, origin=_known_by(origin, student))
            if keep is not None:
                self._prune(keep)
            return entry

    def refuse(self, model: pathlib.Path, *, origin: Origin, keras_file: pathlib.Path | None = None) -> Entry:
        """Puts a student that does not ship aside, if it is not there yet; a person can still promote it.

        Args:
          model: The directory of a SavedModel, which is copied. The last few that were refused are kept.
          origin: Where it comes from.
          keras_file: See `push`.

        Returns:
          What was noted.
        """
        student = _fingerprint(model, keras_file)
        with self.locked(create=True):
            before = self._find(student, among=self._refused())
            version = before.version if before else self._next()
            if before is None:
                self.store.add(_aside(version), _files(model, keras_file))
            for old in self._refused()[:-_REFUSED_KEPT]:
                self.store.remove(_aside(old))
            return self._note("refused", version=version, origin=_known_by(origin, student))

    def roll_back(self, *, to: str | None, reason: str) -> Entry:
        """Lets an earlier version ship again.

        Args:
          to: Which; None is the one that shipped before.
          reason: Why.

        Raises:
          InputError: There is no such version, or it ships already.
        """
        with self.locked():
            version = to or self.fallback()
            if version is None:
                raise InputError(
                    f"{self.directory} holds no version that shipped before; nothing is changed."
                )
            self._check(version)
            return self._note("rolled back", version=version, origin=self._origin(version, reason=reason))

    def promote(self, version: str, *, reason: str) -> Entry:
        """Lets a version ship, whatever came before; also a student that was refused.

        Args:
          version: Which.
          reason: Why.

        Raises:
          InputError: There is no such version, or it ships already.
        """
        with self.locked():
            if version in self._refused():
                if version not in self.whole():
                    self.store.add(version, _files(self.fetch(_aside(version)), None))
                self.store.remove(_aside(version))
            self._check(version)
            return self._note("promoted", version=version, origin=self._origin(version, reason=reason))

    @contextlib.contextmanager
    def locked(self, *, create: bool = False) -> Iterator[None]:
        """Lets one process at a time change what ships; a lock does not outlive its holder for long."""
        if not create and not self.store.names():
            raise InputError(f"{self.directory} holds no version yet; nothing is changed.")
        with self.store.locked():
            self._make_up_for_a_kill()
            yield

    def _make_up_for_a_kill(self) -> None:
        """Lets the version ship that was noted last, if that was as far as it got."""
        noted = [entry for entry in self.history() if entry.event != "refused"]
        if noted and noted[-1] != self.champion() and noted[-1].version in self.whole():
            self.store.write(CHAMPION_FILE, to_json(dataclasses.asdict(noted[-1])))

    def _refused(self) -> list[str]:
        return _numbers(self.store.names(REFUSED_DIRECTORY))

    def _check(self, version: str) -> None:
        whole = self.whole()
        if version not in whole:
            known = f"it holds {first_few(whole[::-1], most=5)}" if whole else "it holds none"
            raise InputError(f"{self.directory} holds no version {version!r}; {known}.")
        if version == self.shipping():
            raise InputError(f"Version {version} ships already; nothing is changed.")

    def _origin(self, version: str, *, reason: str) -> Origin:
        """Returns where a version comes from, as its run has noted it, with another reason."""
        made = [entry for entry in self.history() if entry.version == version and entry.event in _BY_A_RUN]
        if not made:
            return Origin(reason=reason)
        known = {field.name: getattr(made[-1], field.name) for field in dataclasses.fields(Origin)}
        return Origin(**{**known, "reason": reason})

    def _next(self) -> str:
        """Returns a number that is larger than that of any version, also of one that is gone."""
        noted = [entry.version for entry in self.history()]
        taken = map(int, [*_numbers(self.store.names()), *self._refused(), *noted])
        return str(max(int(time.time()), max(taken, default=0) + 1))

    def _find(self, student: str, *, among: list[str]) -> Entry | None:
        """Returns what was noted last of the student with a fingerprint, if it is one of some versions."""
        same = (entry for entry in reversed(self.history()) if entry.fingerprints.get(_STUDENT) == student)
        return next((entry for entry in same if entry.version in among), None) if student else None

    def _was_taken_back(self, version: str) -> bool:
        """Tells whether a person has let another version ship since this one did."""
        history = self.history()
        last = max(number for number, entry in enumerate(history) if entry.version == version)
        return any(entry.event in _BY_A_PERSON for entry in history[last:])

    def _left_behind(self, student: str) -> str | None:
        """Returns the version of the same student that a push has added, killed before it was noted."""
        newest = next(reversed(self.whole()), None)
        if not student or newest is None or newest in {entry.version for entry in self.history()}:
            return None
        model = self.fetch(newest)
        return newest if _fingerprint(model, model / KERAS_ASSET) == student else None

    def _note(self, event: Event, *, version: str, origin: Origin) -> Entry:
        """Adds a line to the history, and says what ships if that has changed."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = Entry(time=now, event=event, version=version, **dataclasses.asdict(origin))
        content = dataclasses.asdict(entry)
        self.store.append(PUSH_HISTORY_FILE, json.dumps(content))
        if event != "refused":
            self.store.write(CHAMPION_FILE, to_json(content))
        return entry

    def _in_order_of_shipping(self) -> list[str]:
        """Returns the whole versions that have shipped, each after the one that it would fall back to."""
        history = [entry for entry in self.history() if entry.event != "refused"]
        first = min((int(entry.version) for entry in history), default=math.inf)
        whole = self.whole()
        order = [version for version in whole if int(version) < first]  # From before there was a history.
        for entry in history:
            if entry.event == "rolled back" and entry.version in order:
                # What came later is nothing to fall back to.
                order = order[: order.index(entry.version)]
            order = [*(version for version in order if version != entry.version), entry.version]
        return [version for version in order if version in whole]

    def _prune(self, keep: int) -> None:
        needed = {self.shipping(), self.fallback()}
        others = [each for each in _numbers(self.store.names()) if each not in needed]
        for version in others[: -keep or None]:
            self.store.remove(version)


def serving_config(directory: pathlib.Path | str, *, name: str, version: str) -> str:
    """Returns a configuration with which TensorFlow Serving serves one version, in protobuf's text format.

    Args:
      directory: That of the versions.
      name: Of the model.
      version: Which to serve.
    """
    place = str(directory).replace("minio://", "s3://")
    if not is_remote(place):
        place = str(pathlib.Path(place).absolute())
    return (
        "model_config_list {\n"
        "  config {\n"
        f"    name: {json.dumps(name)}\n"
        f"    base_path: {json.dumps(place)}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {version} }} }}\n"
        "  }\n"
        "}\n"
    )


def _in_words(version: str) -> str:
    return "none" if version == NO_VERSION else f"version {version}"


def _numbers(names: list[str]) -> list[str]:
    """Returns those of some names that versions have, the newest last."""
    return sorted((name for name in names if name.isdecimal()), key=int)


def _aside(version: str) -> str:
    return f"{REFUSED_DIRECTORY}/{version}"


def _files(model: pathlib.Path, keras_file: pathlib.Path | None) -> dict[str, pathlib.Path]:
    """Returns the files of a version by their names; the last one makes TensorFlow Serving load it."""
    files = {path.relative_to(model).as_posix(): path for path in sorted(model.rglob("*")) if path.is_file()}
    if keras_file is not None:
        files[KERAS_ASSET.as_posix()] = keras_file
    last = files.pop(SAVED_MODEL_FILE)
    return {**files, SAVED_MODEL_FILE: last}


def _fingerprint(model: pathlib.Path, keras_file: pathlib.Path | None) -> str:
    """Returns a hash of the weights and the classes of a student; empty if there is no `.keras` file."""
    if keras_file is None or not is_keras_file(keras_file):
        return ""
    with zipfile.ZipFile(keras_file) as archive:
        weights = archive.read(_WEIGHTS)
    classes = model / CLASSES_ASSET
    return hashlib.sha256(weights + (classes.read_bytes() if classes.is_file() else b"")).hexdigest()


def _known_by(origin: Origin, student: str) -> Origin:
    """Returns an origin with the fingerprint of the student, if there is one."""
    if not student:
        return origin
    return dataclasses.replace(origin, fingerprints={**origin.fingerprints, _STUDENT: student})


def _read_entry(content: bytes) -> Entry | None:
    try:
        entry = Entry(**json.loads(content))
        return dataclasses.replace(entry, spans=tuple(entry.spans))
    except (ValueError, TypeError):
        return None
