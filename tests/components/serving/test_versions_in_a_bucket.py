"""What ships where the versions lie in an object store: a server of Amazon's S3 on this machine."""

import logging
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from components.errors import InputError
from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import Origin, OvertakenError, Versions, serving_config

Model = Callable[[str], pathlib.Path]

PUSHING = """
import pathlib, sys
from components.serving.versions import Origin, Versions
for _ in range(3):
    print(Versions(sys.argv[1]).push(pathlib.Path(sys.argv[2]), origin=Origin(reason="")).version, flush=True)
"""


@pytest.fixture
def versions(bucket: str) -> Versions:
    return Versions(bucket)


def push(versions: Versions, model: pathlib.Path, **settings: object) -> str:
    return versions.push(model, origin=Origin(reason=f"{model.name} is good"), **settings).version


def test_what_was_pushed_is_rolled_back_refused_and_promoted(
    versions: Versions, model: Model, bucket: str
) -> None:
    assert (versions.shipping(), versions.history()) == (None, [])
    with pytest.raises(InputError, match="holds no version yet; nothing is changed"):
        versions.roll_back(to=None, reason="")

    first = push(versions, model("a"))
    second = push(versions, model("b"), after=first)
    with pytest.raises(OvertakenError, match=f"compared with version {first}, but version {second} ships"):
        push(versions, model("c"), after=first)
    refused = versions.refuse(model("d"), origin=Origin(reason="slow")).version
    assert (versions.whole(), versions.shipping()) == ([first, second], second)
    assert versions.roll_back(to=None, reason="worse at night").version == first
    versions.promote(refused, reason="fast enough")

    again = Versions(bucket)
    assert (again.whole(), again.shipping(), again.fallback()) == ([first, second, refused], refused, first)
    assert [(each.event, each.version) for each in again.history()] == [
        ("pushed", first),
        ("pushed", second),
        ("refused", refused),
        ("rolled back", first),
        ("promoted", refused),
    ]
    assert again.history()[-1] == again.champion()
    assert again.location(refused) == f"{bucket}/{refused}"
    assert (again.fetch(refused) / "saved_model.pb").read_text() == "d"
    assert (again.fetch(refused) / "variables/variables.data").stat().st_size == 200_000
    assert "refused" not in again.store.names()


def test_serving_finds_a_version_once_all_of_it_is_there(
    versions: Versions, model: Model, caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path
) -> None:
    """The server logs what it is asked."""
    (tmp_path / "student.keras").touch()
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        version = push(versions, model("a"), keras_file=tmp_path / "student.keras")

    written = re.findall(r'"PUT /\w+/students/(\S+) HTTP', caplog.text)
    files = [name for name in written if name.startswith(version)]
    assert sorted(files[:-1]) == [
        f"{version}/assets.extra/model.keras",
        f"{version}/variables/variables.data",
    ]
    assert files[-1] == f"{version}/saved_model.pb"
    assert written[-3:-1] == ["history.jsonl", "champion.json"]


def test_old_versions_are_removed_but_never_what_ships_or_would(versions: Versions, model: Model) -> None:
    pushed = [push(versions, model(name)) for name in "ab"]
    pushed.append(push(versions, model("c"), keep=0))

    assert versions.whole() == pushed[1:]
    assert [name for name in versions.store.names() if name.isdecimal()] == pushed[1:]


def test_processes_that_push_at_once_do_it_one_after_the_other(
    versions: Versions, model: Model, bucket: str
) -> None:
    command = [sys.executable, "-c", PUSHING, bucket, str(model("a"))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pushed = [line for process in processes for line in process.communicate()[0].split()]

    assert len(set(pushed)) == 6
    assert [each.version for each in versions.history()] == sorted(pushed, key=int)
    assert versions.shipping() == max(pushed, key=int)


def test_a_teacher_is_kept_beside_them(versions: Versions, tmp_path: pathlib.Path, bucket: str) -> None:
    for name in ("old", "new"):
        (tmp_path / "teacher.keras").write_text(name)
        KeptTeacher.keep(tmp_path / "teacher.keras", made_by={"a": 1}, run=name, store=versions.store)

    kept = KeptTeacher.find(Versions(bucket).store)

    assert kept is not None
    assert kept.keras_file.read_text() == "new"
    assert kept.runs == ("new",)
    assert versions.store.names() == sorted(["teacher.json", kept.file])


def test_tensorflow_serving_reads_them_there() -> None:
    text = serving_config("minio://bucket/students", name="student", version="17")
    assert 'base_path: "s3://bucket/students"' in text
