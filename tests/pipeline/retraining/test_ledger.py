import dataclasses
import json
import pathlib

import pytest

from components.errors import InputError
from pipeline.retraining.ledger import Ledger, Tick


@pytest.fixture
def ledger(tmp_path: pathlib.Path) -> Ledger:
    return Ledger(tmp_path / "pushed", "digits")


def test_a_tick_stands_there_when_it_begins_and_as_a_whole_when_it_has_ended(ledger: Ledger) -> None:
    begun = ledger.begin()
    assert ledger.ticks() == [begun]
    assert begun.ended is begun.outcome is None

    ended = ledger.end(dataclasses.replace(begun, outcome="pushed", version="17", student=0.9))

    assert ledger.ticks() == [ended]
    lines = [json.loads(line) for line in (ledger.directory / "ledger.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == [None, "pushed"]
    assert lines[0]["began"] == lines[1]["began"] <= lines[1]["ended"]
    assert lines[1]["run"] == begun.run


@pytest.mark.parametrize("kept", [0, 1, 60, -2, -1])
def test_a_line_that_was_cut_short_costs_no_other(ledger: Ledger, kept: int) -> None:
    """Whatever part of its last line a power cut leaves; all but its end is as good as the whole."""
    first = ledger.end(dataclasses.replace(ledger.begin(), outcome="pushed"))
    whole = (ledger.directory / "ledger.jsonl").read_bytes()
    second = ledger.begin()
    line = (ledger.directory / "ledger.jsonl").read_bytes()[len(whole) :]
    (ledger.directory / "ledger.jsonl").write_bytes(whole + line[:kept])

    third = ledger.begin()

    assert ledger.ticks() == ([first, second, third] if kept == -1 else [first, third])


def test_what_was_killed_is_closed_by_the_next(ledger: Ledger) -> None:
    ended = ledger.end(dataclasses.replace(ledger.begin(), outcome="pushed"))
    killed = ledger.begin()

    (closed,) = ledger.close_interrupted()

    assert (closed.run, closed.outcome) == (killed.run, "interrupted")
    assert "killed" in closed.reason
    assert ledger.ticks() == [ended, closed]
    assert ledger.close_interrupted() == []


def test_of_a_run_on_kubeflow_nobody_says_that_it_was_killed(ledger: Ledger) -> None:
    begun = dataclasses.replace(Tick.new(run="a", experiment=ledger.experiment), seen={"data": "1"})
    ledger.begin(begun)

    assert ledger.close_interrupted() == []
    assert ledger.ticks() == [begun]


def test_experiments_that_push_to_one_directory_do_not_see_each_other(ledger: Ledger) -> None:
    other = Ledger(ledger.directory, "letters")
    mine, theirs = ledger.begin(), other.begin()
    assert ledger.ticks() == [mine]
    assert other.ticks() == [theirs]
    assert [tick.run for tick in ledger.close_interrupted()] == [mine.run]


def test_the_last_tick_in_which_a_student_was_judged_is_found(ledger: Ledger) -> None:
    assert ledger.last_judged() is None
    judged = ledger.end(dataclasses.replace(ledger.begin(), outcome="refused", student=0.5))
    for outcome in ("nothing new", "stopped", "failed"):
        ledger.end(dataclasses.replace(ledger.begin(), outcome=outcome))
    assert ledger.last_judged() == judged


def test_a_line_of_an_older_version_is_read_and_a_tick_comes_back_from_its_line(ledger: Ledger) -> None:
    ledger.directory.mkdir()
    older = {"run": "1", "experiment": "digits", "began": "2026-01-03T03:00:00+00:00", "outcome": "pushed"}
    (ledger.directory / "ledger.jsonl").write_text(json.dumps(older | {"student": 0.9}) + "\n")

    (first,) = ledger.ticks()
    newer = dataclasses.replace(first, run="2", spans=("7", "8/2"), seen={"data_fingerprint": "d"})
    ledger.end(newer)

    assert (first.student, first.spans, first.seen) == (0.9, (), {})
    assert dataclasses.replace(ledger.ticks()[-1], ended=None) == newer
    assert Tick.from_line(newer.to_line()) == newer
    began = newer.as_it_began()
    assert (began.began, began.spans, began.seen) == (newer.began, newer.spans, newer.seen)
    assert (began.outcome, began.student, began.reason) == (None, None, "")


def test_a_ledger_that_cannot_be_written_is_the_users_to_mend(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"ledger\.jsonl cannot be written \(.+\); give a push\.directory"):
        Ledger(tmp_path / "file", "digits").begin()
