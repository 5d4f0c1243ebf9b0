"""Unattended retraining on scikit-learn's digits, from the first tick on.

Ticks that do not run the graph are in tests/pipeline/retraining.
"""

import json
import pathlib
import resource
import subprocess
from typing import Any

import pytest
from command_line import QUICK_DIGITS, REPOSITORY, distill, start

from components.serving.versions import Origin, Versions


def _retrain(workspace: pathlib.Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return distill(*_tick(workspace), *arguments)


def _tick(workspace: pathlib.Path) -> tuple[object, ...]:
    config = REPOSITORY / "configs" / "digits.yaml"
    metrics = ("--set", f"notify.prometheus={workspace / 'digits.prom'}")
    retention = ("--set", "retention.runs=1")
    return ("retrain", config, "--workspace", workspace, *QUICK_DIGITS, *metrics, *retention)


def _ended(workspace: pathlib.Path) -> list[dict[str, Any]]:
    lines = (workspace / "pushed" / "ledger.jsonl").read_text().splitlines()
    return [tick for tick in map(json.loads, lines) if tick["ended"]]


@pytest.mark.long
def test_a_student_is_pushed_once_then_nothing_is_new_and_a_worse_one_is_refused(
    tmp_path: pathlib.Path,
) -> None:
    pushed = _retrain(tmp_path)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    shipping = Versions(tmp_path / "pushed").shipping()
    assert f"Pushed:  {tmp_path / 'pushed' / str(shipping)}\n" in pushed.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert "notify" not in summary["configuration"]
    (first,) = _ended(tmp_path)
    assert (first["outcome"], first["version"]) == ("pushed", shipping)
    assert [first[model] for model in ("teacher", "scratch", "student")] == [
        summary["models"][model]["accuracy"] for model in ("teacher", "scratch", "distilled")
    ]

    # The ledger as a kill after the push, before the tick's last line, would have left it.
    ledger = tmp_path / "pushed" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().splitlines()[0] + "\n")
    recovered = _retrain(tmp_path)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert "was interrupted, which is noted now" in recovered.stdout
    killed, tick = _ended(tmp_path)
    assert (killed["run"], killed["outcome"]) == (first["run"], "interrupted")
    assert (tick["outcome"], tick["version"]) == ("pushed", shipping)
    assert Versions(tmp_path / "pushed").whole() == [shipping]

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = _retrain(tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert again.returncode == 0
    assert again.stdout == f"Nothing new: data, code and configuration are those of {tick['began']}.\n"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2

    refused = _retrain(tmp_path, "--set", "evaluation.min_accuracy=1.0")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    aside = Versions(tmp_path / "pushed").history()[-1]
    assert aside.event == "refused"
    assert [(tick["outcome"], tick["version"]) for tick in _ended(tmp_path)[2:]] == [
        ("nothing new", None),
        ("refused", aside.version),
    ]
    assert Versions(tmp_path / "pushed").shipping() == shipping
    assert 'outcome="refused"} 1.0\n' in (tmp_path / "digits.prom").read_text()

    # Of the three runs stay the newest, and the one whose student ships.
    log = (tmp_path / "run.log").read_text()
    assert log.count("\n==== ") == 1
    pruned = distill("prune", *_tick(tmp_path)[1:])
    assert pruned.stdout == "Nothing to remove: 2 runs left.\n"
    champion = Versions(tmp_path / "pushed").champion()
    assert champion is not None
    assert (
        champion.fingerprints["data"]
        == json.loads(
            (tmp_path / "pushed" / str(shipping) / "assets.extra" / "data_identity.json").read_text()
        )["fingerprint"]
    )


@pytest.mark.long
def test_the_teacher_is_kept_and_a_student_that_was_overtaken_is_compared_again(
    tmp_path: pathlib.Path,
) -> None:
    taking_over = (
        *("--set", "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.1}}"),
        *("--set", "evaluation={against_scratch: any, max_accuracy_drop: 1.0}"),
    )
    first = _retrain(tmp_path, *taking_over)
    assert first.returncode == 0, first.stdout + first.stderr
    versions = Versions(tmp_path / "pushed")
    champion = versions.directory / str(versions.shipping())

    # Another run pushes while the student of newer data is trained.
    command = [*_tick(tmp_path), *taking_over, "--set", "data.labelled_fraction=0.3"]
    newer = start(*command)
    printed = "".join(iter(newer.stdout.readline, "Transform: running\n"))
    other = versions.push(champion, origin=Origin(reason="of another run")).version
    printed += newer.communicate()[0]

    assert newer.returncode == 0, printed
    assert "Teacher kept, for run 2 of 10: " in printed
    assert f"starts from the student that ships, {champion.name}." in printed
    assert printed.count("Pusher: failed") == 1
    assert printed.count("Evaluator: completed") == 2
    assert printed.count("Teacher: completed") == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["incumbent_version"] == other
    assert summary["histories"]["teacher"]["epochs"] == []
    assert versions.whole()[-2:] == [other, versions.shipping()]
    assert _ended(tmp_path)[-1]["version"] == versions.shipping()
