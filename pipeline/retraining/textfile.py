"""Metrics for Prometheus, as a file that the textfile collector of its node exporter reads."""

import datetime
import pathlib
import typing
from collections.abc import Sequence

from components.serving.versions import Versions
from pipeline.retraining.ledger import Outcome, Tick


def write_metrics(path: pathlib.Path, *, ticks: Sequence[Tick], versions: Versions) -> None:
    """Writes the metrics of an experiment, at once; moments are in seconds since 1970, UTC.

    Args:
      path: The file; its directory exists.
      ticks: All ticks of the experiment, the oldest first; at least one, and all have ended.
      versions: What it has pushed.

    Raises:
      OSError: The file cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    last = ticks[-1]
    registry = CollectorRegistry()

    def gauge(name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"distill_{name}", help_, ["experiment", *labels], registry=registry)

    ended = gauge("last_tick_timestamp_seconds", "When distill retrain ended last.")
    ended.labels(last.experiment).set(_seconds(last.ended))

    outcomes = gauge("last_tick_outcome", "1 for what became of the last tick, else 0.", "outcome")
    for outcome in typing.get_args(Outcome):
        outcomes.labels(last.experiment, outcome).set(outcome == last.outcome)

    champion = versions.champion()
    if champion is not None:
        since = gauge("champion_timestamp_seconds", "Since when the version that ships does.")
        since.labels(last.experiment).set(_seconds(champion.time))

    measured = next((tick for tick in reversed(ticks) if tick.student is not None), None)
    if measured is not None:
        accuracies = gauge("accuracy", "On the test split of the last run, a share of 1.", "model")
        for model in ("teacher", "scratch", "student"):
            accuracy = getattr(measured, model)
            if accuracy is not None:
                accuracies.labels(last.experiment, model).set(accuracy)
        if measured.student_on_reference is not None:
            on_reference = gauge("reference_accuracy", "Of the last student, on the reference images.")
            on_reference.labels(last.experiment).set(measured.student_on_reference)

    write_to_textfile(str(path), registry)


def _seconds(time: str | None) -> float:
    return datetime.datetime.fromisoformat(str(time)).timestamp()
