"""The ledger of ticks: JSON lines beside the pushed versions, to which is only ever added.

A tick is written when it begins and again, as a whole, when it has ended. A reader takes the last line of
each run; a line that was cut short is passed over, and the next one begins anew.
"""

import dataclasses
import datetime
import functools
import json
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from components.errors import InputError
from components.layout import LEDGER_FILE
from components.metrics import ACCURACY
from components.report.summary import Evaluation
from components.serving.versions import Versions
from components.stores.store import Store, open_store
from pipeline.config.experiment import Config
from pipeline.local.workspace import Workspace

Outcome = Literal["pushed", "refused", "nothing new", "stopped", "failed", "interrupted"]


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Of everything that decides what a run comes to, each in hexadecimal or as its source gives it.

    Attributes:
      data: What the source of the data says of its content.
      code: This project's version and source, and the files that the models are made of.
      configuration: All keys but those that change no result.
    """

    data: str
    code: str
    configuration: str

    def changed_since(self, other: "Fingerprints") -> list[str]:
        """Names what differs from earlier ones."""
        return [
            field.name
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tick:
    """One call of `distill retrain`, as far as it got.

    Attributes:
      run: Its id.
      experiment: The name of the experiment.
      began: When: ISO 8601, UTC.
      ended: Likewise; None while it goes on, and of one that was killed until the next notes it.
      outcome: What became of it; None likewise.
      reason: Why, in a sentence.
      data: The fingerprint of the data; this and the following are empty if the tick did not come so far.
      code: The fingerprint of this project's source and of the models' files.
      configuration: The fingerprint of the configuration.
      teacher: Its accuracy on the test split, a share of 1; None, as are the following, if nothing was
        measured.
      scratch: That of the student that was trained from scratch, if there is one.
      student: That of the distilled student that was judged.
      student_on_reference: That of this student on the reference images, if there are any.
      spans: The spans of the data, with their versions, as in `2026-01-03` and `7/2`; none of other data.
      version: The version that was pushed, or that was put aside because it was refused.
      seen: On Kubeflow, what the node Look has told the other nodes, by its names: with the same, a later run
        takes all from the cache. Elsewhere nothing.
    """

    run: str
    experiment: str
    began: str
    ended: str | None = None
    outcome: Outcome | None = None
    reason: str = ""
    data: str = ""
    code: str = ""
    configuration: str = ""
    teacher: float | None = None
    scratch: float | None = None
    student: float | None = None
    student_on_reference: float | None = None
    spans: tuple[str, ...] = ()
    version: str | None = None
    seen: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def new(cls, *, run: str, experiment: str) -> Self:
        """Returns a tick that begins now, which is not noted yet."""
        return cls(run=run, experiment=experiment, began=_now())

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        """Reads a line of the ledger.

        Raises:
          ValueError: It was cut short.
          TypeError: It is something else.
        """
        tick = cls(**json.loads(line))
        return dataclasses.replace(tick, spans=tuple(tick.spans))

    def to_line(self) -> str:
        """Returns its line in the ledger, without the end."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    def as_it_began(self) -> Self:
        """Returns it without anything that a run came to."""
        known = ("run", "experiment", "began", "data", "code", "configuration", "spans", "seen")
        return type(self)(**{name: getattr(self, name) for name in known})

    @property
    def fingerprints(self) -> Fingerprints:
        """What it was made of."""
        return Fingerprints(self.data, self.code, self.configuration)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ticks of one experiment that pushes to a directory; others may push there too.

    Attributes:
      directory: That of the pushed versions, a path or a URI; it need not exist.
      experiment: The name of the experiment.
    """

    directory: pathlib.Path | str
    experiment: str

    @functools.cached_property
    def _store(self) -> Store:
        return open_store(self.directory)

    def ticks(self) -> list[Tick]:
        """Reads the ticks, the oldest first, each as it was written last."""
        lines = (self._store.read(LEDGER_FILE) or b"").splitlines()
        found = (tick for line in lines if (tick := _read_line(line)) is not None)
        return list({tick.run: tick for tick in found if tick.experiment == self.experiment}.values())

    def last_judged(self) -> Tick | None:
        """Returns the last tick in which a student was judged."""
        return last_judged(self.ticks())

    def begin(self, tick: Tick | None = None) -> Tick:
        """Notes that a tick begins.

        Args:
          tick: What is known of it; None is a new one.

        Raises:
          InputError: The ledger cannot be written.
        """
        return self._write(tick or Tick.new(run=uuid.uuid4().hex, experiment=self.experiment))

    def end(self, tick: Tick) -> Tick:
        """Notes what became of a tick, and when.

        Raises:
          InputError: The ledger cannot be written.
        """
        return self._write(dataclasses.replace(tick, ended=_now()))

    def close_interrupted(self) -> list[Tick]:
        """Notes which ticks never ended; only for who knows that none goes on.

        Those on Kubeflow may go on wherever this is called: of them nothing is noted.

        Raises:
          InputError: The ledger cannot be written.
        """
        reason = "It ended without a word: it was killed, or the machine went down."
        return [
            self.end(dataclasses.replace(tick, outcome="interrupted", reason=reason))
            for tick in self.ticks()
            if tick.ended is None and not tick.seen
        ]

    def _write(self, tick: Tick) -> Tick:
        try:
            self._store.append(LEDGER_FILE, tick.to_line())
        except OSError as error:
            raise InputError(
                f"{self._store.location(LEDGER_FILE)} cannot be written ({error.strerror}); give a "
                "push.directory that you can write."
            ) from None
        return tick


def last_judged(ticks: Sequence[Tick]) -> Tick | None:
    """Returns the last of some ticks in which a student was judged."""
    return next((tick for tick in reversed(ticks) if tick.student is not None), None)


def judged(tick: Tick, evaluation: Evaluation, *, pushed: str | None, ledger: Ledger) -> Tick:
    """Returns a tick whose run came to a verdict, which may be that of an earlier one.

    Args:
      tick: As it began.
      evaluation: What was measured and decided.
      pushed: The version that was pushed, now or by an earlier run; None if the student was refused.
      ledger: That of the tick.
    """
    scratch = evaluation.models.get("scratch")
    tick = dataclasses.replace(
        tick,
        reason=evaluation.verdict,
        teacher=evaluation.teacher.metric(ACCURACY),
        scratch=scratch.metric(ACCURACY) if scratch else None,
        student=evaluation.student.metric(ACCURACY),
        student_on_reference=evaluation.reference_accuracy,
    )
    if pushed is None:
        history = Versions(ledger.directory).history()
        refused = [entry.version for entry in history if entry.event == "refused"]
        return dataclasses.replace(tick, outcome="refused", version=refused[-1] if refused else None)
    if any(pushed == earlier.version for earlier in ledger.ticks() if earlier.run != tick.run):
        return dataclasses.replace(
            tick, outcome="nothing new", reason=f"The same student was pushed before, as version {pushed}."
        )
    return dataclasses.replace(tick, outcome="pushed", version=pushed)


def describe_news(now: Fingerprints, *, before: Tick | None) -> str:
    """Says in a few words what is new; nothing if all is as it was.

    Args:
      now: What there is.
      before: The last tick in which a student was judged, if there is one.
    """
    if before is None:
        return "no student has been judged here before"
    changed = now.changed_since(before.fingerprints)
    return f"{' and '.join(changed)} changed since {before.began}" if changed else ""


def nothing_new_since(before: Tick) -> str:
    """Says in a sentence that all is as it was in an earlier tick."""
    return f"Nothing new: data, code and configuration are those of {before.began}."


def stopped(tick: Tick, reason: str) -> Tick:
    """Returns a tick that the user's data, models or configuration have stopped."""
    return dataclasses.replace(tick, outcome="stopped", reason=reason)


def open_ledger(config: Config, workspace: Workspace) -> Ledger:
    """Returns the ledger of an experiment: it lies beside what the experiment pushes."""
    return Ledger(workspace.push_directory(config), config.name)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _read_line(line: bytes) -> Tick | None:
    try:
        return Tick.from_line(line)
    except (ValueError, TypeError):
        return None
