"""The directory that students are pushed to: its versions, which of them ships, and what became of each.

A version is whole before it has its name, which is a number that only grows. `champion.json` says which one
ships, and `history.jsonl` has a line for each change. Nothing here imports TensorFlow.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import math
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from components.errors import InputError, first_few
from components.files import append_line, read_json, write_json
from components.layout import (
    CHAMPION_FILE,
    KERAS_ASSET,
    PUSH_HISTORY_FILE,
    REFUSED_DIRECTORY,
    is_saved_model,
)

NO_VERSION: Final = "none"  # What stands for a version where there is none.

_LOCK = ".lock"
_PARTIAL = ".{}.partial"
_REFUSED_KEPT = 3

Event = Literal["pushed", "refused", "rolled back", "promoted"]
_BY_A_RUN = ("pushed", "refused")


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
      fingerprints: SHA-256 of the images and labels of that run, `data`, and of the `.keras` file, `student`.
    """

    reason: str
    student: str = ""
    run: str = ""
    accuracy: float | None = None
    test_examples: int | None = None
    metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    spans: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
    """The versions of a student in a directory, which need not exist."""

    directory: pathlib.Path

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
        return [version for version in _numbers(self.directory) if is_saved_model(self.directory / version)]

    def champion(self) -> Entry | None:
        """Reads which version ships, and since when; None if that was never written, or cannot be read."""
        try:
            return _to_entry(read_json(self.directory / CHAMPION_FILE))
        except (OSError, ValueError, TypeError):
            return None

    def history(self) -> list[Entry]:
        """Reads all changes, the oldest first; a line that was cut short is left out."""
        try:
            lines = (self.directory / PUSH_HISTORY_FILE).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [entry for line in lines if (entry := _read_line(line)) is not None]

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
        """Adds a version, which then ships.

        Args:
          model: The directory of a SavedModel, which is copied.
          origin: Where it comes from.
          keras_file: The same network as a `.keras` file, from which a later training may start.
          keep: How many versions to keep, beside the one that ships and the one it would fall back to, which
            always stay; None removes none.
          after: Which version shipped, or `none`, when the student was judged; None does not ask.

        Returns:
          What was noted.

        Raises:
          OvertakenError: Another version ships now.
        """
        with self.locked(create=True):
            now = self.shipping() or NO_VERSION
            if after not in (None, now):
                raise OvertakenError(
                    f"The student was compared with {_in_words(after)}, but {_in_words(now)} ships by now; "
                    "run again to compare it with that one."
                )
            version = self._next()
            _copy(model, keras_file, to=self.directory / version)
            entry = self._note("pushed", version=version, origin=origin)
            if keep is not None:
                self._prune(keep)
            return entry

    def refuse(self, model: pathlib.Path, *, origin: Origin, keras_file: pathlib.Path | None = None) -> Entry:
        """Puts a student that does not ship aside, where a person can still promote it.

        Args:
          model: The directory of a SavedModel, which is copied. The last few that were refused are kept.
          origin: Where it comes from.
          keras_file: See `push`.

        Returns:
          What was noted.
        """
        with self.locked(create=True):
            version = self._next()
            _copy(model, keras_file, to=self._refused / version)
            for old in _numbers(self._refused)[:-_REFUSED_KEPT]:
                shutil.rmtree(self._refused / old)
            return self._note("refused", version=version, origin=origin)

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
            if version in _numbers(self._refused):
                (self._refused / version).rename(self.directory / version)
                _put_on_disk([self.directory])
            self._check(version)
            return self._note("promoted", version=version, origin=self._origin(version, reason=reason))

    @contextlib.contextmanager
    def locked(self, *, create: bool = False) -> Iterator[None]:
        """Lets one process at a time change what ships; a lock ends with its holder."""
        if not create and not self.directory.is_dir():
            raise InputError(f"{self.directory} holds no version yet; nothing is changed.")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / _LOCK).open("w")
        except OSError as error:
            raise InputError(f"{self.directory} cannot be written ({error.strerror}).") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _refused(self) -> pathlib.Path:
        return self.directory / REFUSED_DIRECTORY

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
        taken = map(int, [*_numbers(self.directory), *_numbers(self._refused), *noted])
        return str(max(int(time.time()), max(taken, default=0) + 1))

    def _note(self, event: Event, *, version: str, origin: Origin) -> Entry:
        """Adds a line to the history, and says what ships if that has changed."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = Entry(time=now, event=event, version=version, **dataclasses.asdict(origin))
        append_line(self.directory / PUSH_HISTORY_FILE, json.dumps(dataclasses.asdict(entry)))
        if event != "refused":
            write_json(self.directory / CHAMPION_FILE, dataclasses.asdict(entry))
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
        for version in [each for each in _numbers(self.directory) if each not in needed][: -keep or None]:
            shutil.rmtree(self.directory / version)


def serving_config(directory: pathlib.Path, *, name: str, version: str) -> str:
    """Returns a configuration with which TensorFlow Serving serves one version, in protobuf's text format.

    Args:
      directory: That of the versions, as TensorFlow Serving sees it.
      name: Of the model.
      version: Which to serve.
    """
    return (
        "model_config_list {\n"
        "  config {\n"
        f"    name: {json.dumps(name)}\n"
        f"    base_path: {json.dumps(str(directory))}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {version} }} }}\n"
        "  }\n"
        "}\n"
    )


def _in_words(version: str) -> str:
    return "none" if version == NO_VERSION else f"version {version}"


def _numbers(directory: pathlib.Path) -> list[str]:
    """Returns the names of all versions in a directory, whole or not, the newest last."""
    if not directory.is_dir():
        return []
    return sorted((path.name for path in directory.iterdir() if path.name.isdecimal()), key=int)


def _copy(model: pathlib.Path, keras_file: pathlib.Path | None, *, to: pathlib.Path) -> None:
    """Copies a directory that gets its name when it is whole and on disk; removes what others left over."""
    for left_over in to.parent.glob(_PARTIAL.format("*")):
        shutil.rmtree(left_over)
    partial = to.with_name(_PARTIAL.format(to.name))
    shutil.copytree(model, partial)
    if keras_file is not None:
        (partial / KERAS_ASSET).parent.mkdir(exist_ok=True)
        shutil.copyfile(keras_file, partial / KERAS_ASSET)
    _put_on_disk([*partial.rglob("*"), partial])
    partial.rename(to)
    _put_on_disk([to.parent])


def _to_entry(content: Mapping[str, Any]) -> Entry:
    entry = Entry(**content)
    return dataclasses.replace(entry, spans=tuple(entry.spans))


def _read_line(line: str) -> Entry | None:
    try:
        return _to_entry(json.loads(line))
    except (ValueError, TypeError):
        return None


def _put_on_disk(paths: Iterable[pathlib.Path]) -> None:
    """Waits until files and directories would survive a loss of power."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
