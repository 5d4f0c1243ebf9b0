"""A folder and an object store do the same; the store is a server on this machine."""

import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from components.errors import InputError
from components.storage.uri import is_remote
from components.stores.store import Store, open_store

WRITING = """
import sys
from components.stores.store import open_store
for number in range(10):
    open_store(sys.argv[1]).append("lines", f"{sys.argv[2]} {number}")
"""


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    return request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path / "store")


@pytest.fixture
def store(place: str) -> Store:
    return open_store(place)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """Writes a file that holds its own name."""

    def write(name: str) -> pathlib.Path:
        (tmp_path / name).write_text(name)
        return tmp_path / name

    return write


def test_files_are_read_as_they_were_written_last(store: Store) -> None:
    assert store.read("champion.json") is None
    store.write("champion.json", b"first")
    store.write("champion.json", b"second")

    assert store.read("champion.json") == b"second"
    assert store.fetch("champion.json").read_bytes() == b"second"
    assert store.names() == ["champion.json"]
    store.remove("champion.json")
    store.remove("champion.json")
    assert store.read("champion.json") is None


def test_a_directory_has_what_was_copied_into_it(store: Store, file: Callable[[str], pathlib.Path]) -> None:
    assert (store.names(), store.names("refused"), store.directories_with("model.pb")) == ([], [], [])

    for name in ("7", "71", "refused/8"):
        store.add(name, {"deep/variables": file("v"), "model.pb": file("m")})
    store.write("note", b"")

    assert [name for name in store.names() if not name.startswith(".")] == ["7", "71", "note", "refused"]
    assert store.names("refused") == ["8"]
    assert store.directories_with("model.pb") == ["7", "71"]
    assert store.read("7/deep/variables") == b"v"
    copy = store.fetch("refused/8")
    assert {path.name: path.read_text() for path in copy.rglob("*") if path.is_file()} == {
        "variables": "v",
        "model.pb": "m",
    }
    store.remove("7")
    assert store.directories_with("model.pb") == ["71"]
    assert store.read("7/deep/variables") is None


def test_what_an_interrupted_copy_left_is_not_found_and_removed_by_the_next(
    store: Store, file: Callable[[str], pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises((OSError, InputError)):
        store.add("7", {"variables": file("v"), "model.pb": tmp_path / "that is gone"})
    assert store.directories_with("model.pb") == []
    assert store.names() != []

    store.add("8", {"variables": file("v"), "model.pb": file("m")})

    assert store.directories_with("model.pb") == ["8"]
    assert store.names() == ["8"]


def test_no_line_is_lost_where_two_write_at_once(store: Store, place: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WRITING, place, name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]

    lines = (store.read("lines") or b"").decode().splitlines()
    assert len(lines) == 20
    for name in "ab":
        assert [line for line in lines if line.startswith(name)] == [f"{name} {each}" for each in range(10)]


def test_a_uri_is_no_path() -> None:
    assert [is_remote(each) for each in ("/models", "models", "s3://b/c", "gs://b")] == [
        *(False, False),
        *(True, True),
    ]
