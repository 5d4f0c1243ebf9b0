"""What ships, what is taken back, and what a kill leaves; the models are files of any content."""

import json
import pathlib
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from components.errors import InputError
from components.serving.versions import Entry, Origin, OvertakenError, Versions, serving_config

Model = Callable[[str], pathlib.Path]

PUSHING = """
import pathlib, sys
from components.serving.versions import Origin, Versions
directory, model, times = sys.argv[1:]
versions = Versions(pathlib.Path(directory))
for _ in range(int(times)):
    print(versions.push(pathlib.Path(model), origin=Origin(reason="")).version, flush=True)
"""


@pytest.fixture
def versions(tmp_path: pathlib.Path) -> Versions:
    return Versions(tmp_path / "pushed")


def push(versions: Versions, model: Model, name: str, **settings: int) -> str:
    origin = Origin(reason=f"{name} is good", student=name, accuracy=0.9, test_examples=100)
    return versions.push(model(name), origin=origin, **settings).version


def test_who_was_compared_with_another_than_ships_now_is_not_pushed(versions: Versions, model: Model) -> None:
    def overtake(after: str) -> str:
        return versions.push(model("late"), origin=Origin(reason=""), after=after).version

    first = overtake(after="none")
    with pytest.raises(
        OvertakenError, match=f"compared with none, but version {first} ships by now; run again"
    ):
        overtake(after="none")
    second = overtake(after=first)
    versions.roll_back(to=None, reason="")
    with pytest.raises(OvertakenError, match=f"version {second}, but version {first} ships by now"):
        overtake(after=second)

    assert versions.whole() == [first, second]
    assert versions.shipping() == first


def test_the_keras_file_lies_where_serving_does_not_look(
    versions: Versions, model: Model, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "student.keras").write_bytes(b"weights")

    pushed = versions.push(model("a"), origin=Origin(reason=""), keras_file=tmp_path / "student.keras")
    refused = versions.refuse(model("b"), origin=Origin(reason=""), keras_file=tmp_path / "student.keras")
    versions.promote(refused.version, reason="")

    for version in (pushed.version, refused.version):
        extra = versions.directory / version / "assets.extra"
        assert (extra / "model.keras").read_bytes() == b"weights"


def test_the_last_that_was_pushed_ships(versions: Versions, model: Model) -> None:
    assert versions.shipping() is None
    first, second = push(versions, model, "a"), push(versions, model, "b")

    assert int(second) > int(first)
    assert versions.whole() == [first, second]
    assert versions.shipping() == second
    assert (versions.directory / second / "saved_model.pb").read_text() == "b"
    champion = json.loads((versions.directory / "champion.json").read_text())
    assert champion.pop("time").endswith("+00:00")
    assert champion == {
        "event": "pushed",
        "version": second,
        "reason": "b is good",
        "student": "b",
        "run": "",
        "accuracy": 0.9,
        "test_examples": 100,
        "metrics": {},
        "spans": [],
        "fingerprints": {},
        "reference_accuracy": None,
    }


def test_what_a_person_lets_ship_still_says_where_it_comes_from(versions: Versions, model: Model) -> None:
    made = {"student": "a", "run": "run-1", "accuracy": 0.9, "test_examples": 100}
    known = {"metrics": {"auc": None}, "spans": ("2026-01-03", "7/2"), "fingerprints": {"data": "f00d"}}
    first = versions.push(model("a"), origin=Origin(reason="good", **made, **known)).version
    push(versions, model, "b")
    versions.roll_back(to=None, reason="worse at night")

    champion = versions.champion()
    assert champion is not None
    assert (champion.event, champion.version, champion.reason) == ("rolled back", first, "worse at night")
    assert (champion.run, champion.accuracy, champion.spans) == ("run-1", 0.9, ("2026-01-03", "7/2"))
    assert (champion.metrics, champion.fingerprints) == ({"auc": None}, {"data": "f00d"})
    assert versions.runs_needed() == {"run-1"}


def test_what_earlier_versions_of_the_program_have_noted_is_read(versions: Versions, model: Model) -> None:
    version = push(versions, model, "a")
    for name in ("champion.json", "history.jsonl"):
        entry = json.loads((versions.directory / name).read_text())
        for key in ("metrics", "spans", "fingerprints"):
            del entry[key]
        (versions.directory / name).write_text(json.dumps(entry))

    champion = versions.champion()
    assert [champion] == versions.history()
    assert champion is not None
    assert (champion.version, champion.spans, champion.fingerprints) == (version, (), {})


def test_a_rollback_goes_back_step_by_step(versions: Versions, model: Model) -> None:
    first, second, third = (push(versions, model, name) for name in "abc")

    assert versions.roll_back(to=None, reason="worse at night").version == second
    assert versions.shipping() == second
    assert versions.roll_back(to=None, reason="").version == first
    with pytest.raises(InputError, match="no version that shipped before; nothing is changed"):
        versions.roll_back(to=None, reason="")
    assert versions.shipping() == first
    assert versions.whole() == [first, second, third]
    assert [(entry.event, entry.version) for entry in versions.history()][3:] == [
        ("rolled back", second),
        ("rolled back", first),
    ]


def test_what_is_pushed_after_a_rollback_falls_back_to_what_shipped_then(
    versions: Versions, model: Model
) -> None:
    first = push(versions, model, "a")
    push(versions, model, "bad")
    versions.roll_back(to=None, reason="bad")
    push(versions, model, "c")

    assert versions.fallback() == first


def test_a_version_is_named_to_roll_back_to(versions: Versions, model: Model) -> None:
    first, _, third = (push(versions, model, name) for name in "abc")

    versions.roll_back(to=first, reason="")

    assert versions.shipping() == first
    with pytest.raises(InputError, match=f"Version {first} ships already"):
        versions.roll_back(to=first, reason="")
    with pytest.raises(InputError, match=rf"holds no version '17'; it holds {third}, "):
        versions.roll_back(to="17", reason="")


def test_a_refused_student_ships_when_a_person_says_so(versions: Versions, model: Model) -> None:
    first = push(versions, model, "a")
    refused = versions.refuse(model("b"), origin=Origin(reason="too slow", student="b")).version
    assert versions.whole() == [first]
    assert versions.shipping() == first

    versions.promote(refused, reason="the phone is faster than the bound says")

    assert versions.shipping() == refused
    assert (versions.directory / refused / "saved_model.pb").read_text() == "b"
    assert versions.fallback() == first
    assert [entry.reason for entry in versions.history()][1:] == [
        "too slow",
        "the phone is faster than the bound says",
    ]


def test_the_last_three_that_were_refused_are_kept(versions: Versions, model: Model) -> None:
    refused = [versions.refuse(model(name), origin=Origin(reason="")).version for name in "abcde"]

    kept = sorted(path.name for path in (versions.directory / "refused").iterdir())

    assert kept == refused[2:]
    for gone in (refused[0], f"../refused/{refused[4]}"):
        with pytest.raises(InputError, match="it holds none"):
            versions.promote(gone, reason="too late, or no number")


def test_numbers_grow_even_past_versions_that_are_gone(versions: Versions, model: Model) -> None:
    (versions.directory / "9999999999").mkdir(parents=True)
    assert push(versions, model, "a") == "10000000000"
    refused = versions.refuse(model("b"), origin=Origin(reason="")).version
    assert push(versions, model, "c") == str(int(refused) + 1) == "10000000002"


@pytest.mark.parametrize(("keep", "left"), [(0, [3, 4]), (1, [2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_versions_are_removed_by_number_but_never_what_ships_or_would(
    versions: Versions, model: Model, keep: int, left: list[int]
) -> None:
    pushed = [push(versions, model, name) for name in "abcd"]
    pushed.append(push(versions, model, "e", keep=keep))

    assert versions.whole() == [pushed[number] for number in left]


def test_of_versions_from_before_there_was_a_history_the_newest_whole_one_ships(
    versions: Versions, model: Model
) -> None:
    for version in ("9", "10"):
        model("a").rename(versions.directory.parent / version)
        versions.directory.mkdir(exist_ok=True)
        (versions.directory.parent / version).rename(versions.directory / version)
    (versions.directory / "11").mkdir()

    assert versions.shipping() == "10"
    assert versions.fallback() == "9"
    push(versions, model, "b")
    assert versions.fallback() == "10"


def test_a_line_that_was_cut_short_costs_no_other(versions: Versions, model: Model) -> None:
    first = push(versions, model, "a")
    path = versions.directory / "history.jsonl"
    path.write_text(path.read_text() + '{"time": "2026-')

    second = push(versions, model, "b")

    assert [entry.version for entry in versions.history()] == [first, second]


def test_a_champion_that_is_gone_or_unreadable_is_not_believed(versions: Versions, model: Model) -> None:
    first, second = push(versions, model, "a"), push(versions, model, "b")
    (versions.directory / second / "saved_model.pb").unlink()
    assert versions.shipping() == first
    (versions.directory / "champion.json").write_text("{")
    assert versions.champion() is None
    assert versions.shipping() == first


def test_a_push_that_is_killed_leaves_no_half_version(versions: Versions, model: Model) -> None:
    """Kills a process that pushes again and again, and looks at all that it has left."""
    source = model("a")
    files = sorted(path.relative_to(source) for path in source.rglob("*"))
    command = [sys.executable, "-c", PUSHING, str(versions.directory), str(source), "1000"]
    for pushes in range(1, 11):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        done = [process.stdout.readline().strip() for _ in range(pushes)]
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert set(done) <= set(versions.whole())
        for version in versions.directory.glob("[0-9]*"):
            assert sorted(path.relative_to(version) for path in version.rglob("*")) == files
            assert (version / "variables" / "variables.data").stat().st_size == 200_000
        assert versions.shipping() in versions.whole()
        newest = int(versions.whole()[-1])
        assert int(push(versions, model, "b")) > newest
        assert not list(versions.directory.glob(".*.partial"))


@pytest.fixture
def push_student(versions: Versions, model: Model, tmp_path: pathlib.Path) -> Callable[..., str]:
    """Pushes a student that is known by its weights; returns its version."""

    def run(weights: str, **settings: Any) -> str:
        with zipfile.ZipFile(tmp_path / "student.keras", "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", weights)
        origin = Origin(reason="")
        keras_file = tmp_path / "student.keras"
        return versions.push(model(weights), origin=origin, keras_file=keras_file, **settings).version

    return run


def test_a_push_that_was_killed_before_it_was_noted_is_made_up_for(
    versions: Versions, push_student: Callable[..., str]
) -> None:
    first = push_student("a")
    before = {name: (versions.directory / name).read_bytes() for name in ("history.jsonl", "champion.json")}
    second = push_student("b")
    for name, content in before.items():
        (versions.directory / name).write_bytes(content)
    assert (versions.whole(), versions.shipping()) == ([first, second], first)

    again = push_student("b", after=first)
    third = push_student("c")

    assert again == second
    assert versions.whole() == [first, second, third]
    assert [entry.version for entry in versions.history()] == versions.whole()


def test_a_push_that_was_killed_once_it_was_noted_ships(
    versions: Versions, push_student: Callable[..., str]
) -> None:
    first = push_student("a")
    before = (versions.directory / "champion.json").read_bytes()
    second = push_student("b")
    (versions.directory / "champion.json").write_bytes(before)
    assert versions.shipping() == first

    assert push_student("b", after=first) == second

    assert versions.shipping() == second
    assert [entry.version for entry in versions.history()] == [first, second]


def test_a_student_ships_again_where_another_run_replaced_it_but_not_where_a_person_did(
    versions: Versions, push_student: Callable[..., str]
) -> None:
    first, second = push_student("a"), push_student("b")
    assert push_student("b") == second

    third = push_student("a")
    assert versions.whole() == [first, second, third]
    assert versions.shipping() == third

    versions.roll_back(to=second, reason="worse at night")
    assert push_student("a") == third
    assert versions.shipping() == second


def test_processes_that_push_at_once_do_it_one_after_the_other(versions: Versions, model: Model) -> None:
    command = [sys.executable, "-c", PUSHING, str(versions.directory), str(model("a")), "8"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    pushed = [int(line) for process in processes for line in process.communicate()[0].split()]

    assert len(set(pushed)) == 24
    noted = [int(entry.version) for entry in versions.history()]
    assert noted == sorted(pushed)
    assert versions.shipping() == str(max(pushed))


def test_a_directory_that_cannot_be_written_is_named(tmp_path: pathlib.Path, model: Model) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file cannot be written \((File exists|Not a directory)\)"):
        Versions(tmp_path / "file").push(model("a"), origin=Origin(reason=""))


def test_tensorflow_serving_is_told_to_serve_one_version() -> None:
    text = serving_config(pathlib.Path("/models/it's"), name="student", version="17")

    expected = (
        'model_config_list { config { name: "student" base_path: "/models/it\'s" '
        'model_platform: "tensorflow" '
        "model_version_policy { specific { versions: 17 } } } }"
    )
    assert " ".join(text.split()) == expected


def test_entries_survive_their_file(versions: Versions, model: Model) -> None:
    push(versions, model, "é")
    (entry,) = versions.history()
    assert isinstance(entry, Entry)
    assert entry == versions.champion()
