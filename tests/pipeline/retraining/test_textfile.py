import dataclasses
import pathlib

from prometheus_client.parser import text_string_to_metric_families

from components.serving.versions import Origin, Versions
from pipeline.retraining.ledger import Tick
from pipeline.retraining.textfile import write_metrics

JUDGED = Tick(
    run="1",
    experiment="digits",
    began="2026-01-01T00:00:00+00:00",
    ended="2026-01-01T01:00:00+00:00",
    outcome="pushed",
    teacher=0.95,
    student=0.925,
    student_on_reference=0.875,
)
NOTHING_NEW = Tick(
    run="2",
    experiment="digits",
    began="2026-01-02T00:00:00+00:00",
    ended="2026-01-02T00:00:01+00:00",
    outcome="nothing new",
)


def _samples(path: pathlib.Path) -> dict[tuple[str, str], float]:
    """Reads the samples, by name and by the one label beside that of the experiment."""
    samples = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("experiment") == "digits"
            samples[sample.name, "".join(labels.values())] = sample.value
    return samples


def test_prometheus_reads_when_what_and_how_good(tmp_path: pathlib.Path) -> None:
    versions = Versions(tmp_path / "pushed")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").touch()
    pushed = versions.push(tmp_path / "model", origin=Origin(reason="It is good."))
    path = tmp_path / "digits.prom"
    path.write_text("what was there before")

    write_metrics(path, ticks=[JUDGED, NOTHING_NEW], versions=versions)

    samples = _samples(path)
    assert samples["distill_last_tick_timestamp_seconds", ""] == 1767312001.0
    outcomes = {label: value for (name, label), value in samples.items() if name.endswith("outcome")}
    assert {label for label, value in outcomes.items() if value} == {"nothing new"}
    assert set(outcomes) == {"pushed", "refused", "nothing new", "stopped", "failed", "interrupted"}
    assert samples["distill_accuracy", "teacher"] == 0.95
    assert samples["distill_accuracy", "student"] == 0.925
    assert ("distill_accuracy", "scratch") not in samples
    assert samples["distill_reference_accuracy", ""] == 0.875
    assert samples["distill_champion_timestamp_seconds", ""] >= int(pushed.version) - 1
    assert list(tmp_path.glob("digits.prom*")) == [path]


def test_what_is_not_known_yet_is_left_out(tmp_path: pathlib.Path) -> None:
    stopped = dataclasses.replace(NOTHING_NEW, outcome="stopped")
    write_metrics(tmp_path / "digits.prom", ticks=[stopped], versions=Versions(tmp_path / "pushed"))
    names = {name for name, _ in _samples(tmp_path / "digits.prom")}
    assert names == {"distill_last_tick_timestamp_seconds", "distill_last_tick_outcome"}
