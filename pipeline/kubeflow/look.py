"""What the node Look does: it takes the fingerprints that a run on a laptop takes by itself.

Where data, code and configuration are those of the last run that was judged, it tells the other nodes what it
told them then: what shipped at that time, too. So all of them come from the cache, though that run may have
pushed since.

Importing this imports neither TensorFlow nor TFX.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import InputError
from components.example_gen.registry import open_source
from components.files import write_json, write_text
from components.report.summary import DataSpan
from pipeline.config.experiment import Config
from pipeline.kubeflow.findings import PAGE, TICK, findings
from pipeline.local.external_files import fingerprint_push_directory
from pipeline.retraining.fingerprints import look_at_files, refusing_unreadable_files, summarise
from pipeline.retraining.ledger import Ledger, Tick, describe_news, last_judged, nothing_new_since

_LEFT_BY_RUNS = ("incumbent", "start", "kept_teacher")
# Of these, what trainings depend on.
_STARTED_FROM = ("start", "kept_teacher")
# A node that is told this looks into the directory that it pushes to, which commonly ends with its pod.
_LOOK_YOURSELF = ""


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
      tick: As the run begins, or began when the same was judged.
      is_new: Whether there is anything that was not judged before.
      reason: Why, in a sentence.
    """

    tick: Tick
    is_new: bool
    reason: str

    @property
    def parameters(self) -> dict[str, str]:
        """What the other nodes are told, by the names of their inputs."""
        return {**self.tick.seen, TICK: self.tick.to_line()}


def look(config: Config, *, run: str) -> Look:
    """Looks at everything that a run needs from outside, and notes it in the ledger, if there is one.

    Whoever looks again in the same run notes the same again: the last line of a run counts.

    Args:
      config: The experiment, with the parameters of the run. If it does not say where students are pushed to,
        nothing ships, and nothing is noted.
      run: Its id.

    Raises:
      InputError: Something is missing or cannot be used, or the ledger cannot be written.
    """
    with refusing_unreadable_files():
        pinned = config.model_copy(update={"data": config.data.pinned()})
        files, spans = look_at_files(pinned), _spans(pinned)
    tick = dataclasses.replace(
        Tick.new(run=run, experiment=config.name),
        **dataclasses.asdict(summarise(config, files=files)),
        spans=spans,
    )
    if config.push.directory is None:
        return _news(tick, config=pinned, fingerprints=files | dict.fromkeys(_LEFT_BY_RUNS, _LOOK_YOURSELF))
    try:
        return _compare(tick, config=config, pinned=pinned, files=files)
    except OSError as error:
        raise InputError(
            f"push.directory: got {config.push.directory!r}, which cannot be read ({error.strerror}); "
            "see to it that it can."
        ) from None


def _compare(tick: Tick, *, config: Config, pinned: Config, files: Mapping[str, str]) -> Look:
    """Looks beside the pushed students, and notes there what is found.

    Args:
      tick: The run, with its fingerprints.
      config: The experiment.
      pinned: The same, with the newest span.
      files: The fingerprints of the data and the models.
    """
    ledger = Ledger(str(config.push.directory), config.name)
    earlier = [each for each in ledger.ticks() if each.run != tick.run]
    before = last_judged(earlier)
    if before is not None and _is_same(before, tick, config=config):
        reason = nothing_new_since(before)
        ledger.end(dataclasses.replace(tick, outcome="nothing new", reason=reason))
        return Look(before.as_it_began(), is_new=False, reason=reason)
    left = _left(config, earlier=earlier, tick=tick)
    seen = _news(tick, config=pinned, fingerprints={**files, **left}, before=before)
    ledger.begin(seen.tick)
    return seen


def publish(seen: Look, outputs: Mapping[str, Any]) -> None:
    """Writes KFP's ExecutorOutput with what the other nodes are told, and a page with what is new.

    Args:
      seen: What was seen.
      outputs: The outputs of the ExecutorInput, with local paths.
    """
    (page,) = outputs["artifacts"][PAGE]["artifacts"]
    spans = f"\n\nSpans: {', '.join(seen.tick.spans)}" if seen.tick.spans else ""
    write_text(pathlib.Path(page["uri"]), f"{seen.reason}{spans}\n")
    written = {"parameterValues": seen.parameters, "artifacts": {PAGE: {"artifacts": [page]}}}
    write_json(pathlib.Path(outputs["outputFile"]), written)


def _is_same(before: Tick, tick: Tick, *, config: Config) -> bool:
    """Tells whether a run has judged the very same, on Kubeflow: its cache knows of no other."""
    names = {finding.name for finding in findings(config)}
    return before.fingerprints == tick.fingerprints and set(before.seen) == names


def _left(config: Config, *, earlier: Sequence[Tick], tick: Tick) -> dict[str, str]:
    """Returns what earlier runs have left beside the pushed students.

    If a run of the same was stopped, because another one had pushed meanwhile, and none has come to a verdict
    since, its student only has to be compared with what ships now: what it was trained from still counts.
    """
    left = fingerprint_push_directory(config, push_directory=str(config.push.directory))
    ended = (each for each in reversed(earlier) if each.ended and _is_same(each, tick, config=config))
    last = next(ended, None)
    if last is None or last.outcome != "stopped":
        return left
    of_trainings = {each.source: last.seen[each.name] for each in findings(config)}
    return left | {source: of_trainings[source] for source in _STARTED_FROM if source in of_trainings}


def _news(tick: Tick, *, config: Config, fingerprints: Mapping[str, str], before: Tick | None = None) -> Look:
    """Returns what the nodes are told of what is new, from the fingerprints by the sources' names."""
    known = dict(fingerprints)
    if config.data.may_have_spans:
        known["span"] = config.data.model_dump()["span"] or ""  # Which leaves ExampleGen's as it is: none.
    told = {finding.name: known[finding.source] for finding in findings(config)}
    news = (
        describe_news(tick.fingerprints, before=before) or "the last run that was judged was none on Kubeflow"
    )
    return Look(dataclasses.replace(tick, seen=told), is_new=True, reason=f"Something is new: {news}.")


def _spans(config: Config) -> tuple[str, ...]:
    spans = open_source(config.data).spans()
    return tuple(str(DataSpan(span=span.name, version=span.version)) for span in spans)
