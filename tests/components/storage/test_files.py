"""Files, wherever they lie: here, in an object store, or where Beam's file systems reach."""

import logging
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from components.errors import InputError
from components.storage import files
from components.storage.beam_files import BeamFiles
from components.storage.copies import local_copy, written_back
from components.storage.objects import connect
from components.storage.place import PIECE
from components.storage.uri import is_remote, join, name_of, normalised, parent_of

# Beam's client of S3 is made anew for each request.
PLACES = ["here", "object store", pytest.param("Beam", marks=pytest.mark.long)]


@pytest.fixture
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> str:
    """A folder that is not there yet; Beam's file system of S3 stands for those that need a cluster."""
    if request.param == "here":
        return str(tmp_path / "root")
    if request.param == "Beam":
        monkeypatch.setattr(files, "_place", lambda scheme: BeamFiles())
    return str(request.getfixturevalue("bucket"))


@pytest.mark.parametrize("root", PLACES, indirect=True)
def test_what_is_written_is_there_until_it_is_removed(root: str) -> None:
    assert not files.exists(root)
    assert files.folder_names(root) == files.file_names(root) == list(files.files_below(root)) == []
    with pytest.raises(FileNotFoundError):
        files.read_bytes(join(root, "a/b.json"))

    files.write_json(join(root, "a/b.json"), {"a": 1})
    files.write_text(join(root, "a/c/d #1%.txt"), "one")
    files.write_text(join(root, "a/c/d #1%.txt"), "two")
    files.write_bytes(join(root, "ab"), bytes(100_000))

    assert files.read_json(join(root, "a/b.json")) == {"a": 1}
    assert files.read_text(join(root, "a/c/d #1%.txt")) == "two"
    assert (files.is_file(join(root, "ab")), files.is_folder(join(root, "ab"))) == (True, False)
    assert (files.is_file(join(root, "a")), files.is_folder(join(root, "a"))) == (False, True)
    assert (files.folder_names(root), files.file_names(root)) == (["a"], ["ab"])
    assert sorted((each.name, each.size) for each in files.files_below(root)) == [
        ("a/b.json", len('{\n  "a": 1\n}\n')),
        ("a/c/d #1%.txt", 3),
        ("ab", 100_000),
    ]
    assert files.size_of(join(root, "a")) == 16

    files.copy(join(root, "a"), join(root, "copy"))
    files.remove(join(root, "a"))
    files.remove(join(root, "a"))
    assert files.folder_names(root) == ["copy"]
    assert files.read_text(join(root, "copy/c/d #1%.txt")) == "two"
    files.remove(join(root, "ab"))
    assert files.file_names(root) == []


@pytest.mark.parametrize("root", PLACES, indirect=True)
def test_a_file_stays_as_it_was_where_another_cannot_be_copied_over_it(root: str) -> None:
    def half() -> Iterator[bytes]:
        yield bytes(PIECE)
        yield bytes(PIECE)
        raise ZeroDivisionError

    files.write_text(join(root, "a"), "before")
    with pytest.raises(ZeroDivisionError):
        files.place_of(root).write_pieces(join(root, "a"), half())
    assert files.read_text(join(root, "a")) == "before"
    if is_remote(root):  # Parts that are never put together would cost for ever.
        client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        assert "Uploads" not in client.list_multipart_uploads(Bucket=root.split("/")[2])


@pytest.mark.parametrize("root", PLACES, indirect=True)
def test_what_is_not_there_cannot_be_copied(root: str) -> None:
    with pytest.raises(FileNotFoundError, match=join(root, "nothing")):
        files.copy(join(root, "nothing"), join(root, "copy"))
    assert not files.exists(join(root, "copy"))


def test_a_store_is_opened_where_its_files_are_written_whatever_the_name(bucket: str) -> None:
    place = join(bucket, "a%20b #1? ü")
    files.write_text(join(place, "file"), "content")
    assert bytes(connect(place).get("file").bytes()) == b"content"


def test_a_large_file_is_not_copied_by_way_of_memory(bucket: str) -> None:
    content = os.urandom(20 * PIECE + 1)
    files.write_bytes(join(bucket, "large"), content)
    command = [sys.executable, "-c", COPYING_LARGE, join(bucket, "large"), join(bucket, "copy")]
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(grown) < len(content) / 2
    assert files.read_bytes(join(bucket, "copy")) == content


COPYING_LARGE = """
import resource, sys
from components.storage import files

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

files.is_file(sys.argv[1])
before = peak()
files.copy(*sys.argv[1:])
print(peak() - before)
"""


@pytest.mark.parametrize("root", PLACES, indirect=True)
def test_a_file_that_changes_has_another_version(root: str) -> None:
    (before,) = _versions(root, "one")
    (after,) = _versions(root, "another")
    assert before != after


def _versions(root: str, text: str) -> list[tuple[int, str]]:
    files.write_text(join(root, "a"), text)
    return [(each.size, each.version) for each in files.files_below(root)]


@pytest.mark.parametrize("root", PLACES, indirect=True)
def test_libraries_that_know_only_paths_read_and_write_copies(root: str) -> None:
    with written_back(join(root, "model"), last=["saved_model.pb"]) as folder:
        (folder / "variables").mkdir()
        (folder / "variables/data").write_bytes(bytes(300_000))
        (folder / "saved_model.pb").write_text("model")

    copy = local_copy(join(root, "model"))
    assert (copy / "saved_model.pb").read_text() == "model"
    assert (copy / "variables/data").read_bytes() == bytes(300_000)
    assert local_copy(join(root, "model/saved_model.pb")).read_text() == "model"
    assert local_copy(join(root, "model")) == copy
    assert local_copy(join(root, "model/variables/data")) == copy / "variables/data"
    assert (str(copy) == join(root, "model")) == (not is_remote(root))
    assert copy.name == "model"


@pytest.mark.parametrize("root", PLACES[1:], indirect=True)
def test_a_folder_that_could_not_be_written_is_not_copied(root: str) -> None:
    def write() -> None:
        with written_back(root) as folder:
            (folder / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert not files.exists(root)


def test_what_says_that_all_is_there_is_copied_last(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    """The server logs what it is asked."""
    with (
        caplog.at_level(logging.INFO, logger="werkzeug"),
        written_back(bucket, last=["dataset.json", "done"]) as folder,
    ):
        for name in ("a", "done", "z", "dataset.json"):
            (folder / name).write_text(name)
    written = re.findall(r'"PUT /\w+/students/(\S+) HTTP', caplog.text)
    assert sorted(written[:2]) == ["a", "z"]
    assert written[2:] == ["dataset.json", "done"]


def test_a_listing_asks_for_a_thousand_at_a_time(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    with written_back(bucket) as folder:
        for number in range(1_001):
            (folder / f"{number}.png").touch()
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        assert sum(1 for _ in files.files_below(bucket)) == 1_001
    assert len(re.findall(r'"(?:GET|HEAD) ', caplog.text)) == 2


COPYING = """
import sys
from components.storage.copies import local_copy
print(local_copy(sys.argv[1]).parents[1])
"""


def test_copies_end_with_their_process(bucket: str) -> None:
    files.write_text(join(bucket, "a"), "content")
    command = [sys.executable, "-c", COPYING, join(bucket, "a")]
    directory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert directory
    assert not pathlib.Path(directory).exists()


def test_a_bucket_that_cannot_be_used_is_told_at_once(
    bucket: str, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.check_writable(bucket)
    files.check_readable(bucket)
    assert not files.exists(bucket)
    for check in (files.check_writable, files.check_readable):
        with pytest.raises(InputError, match=r"s3://absent/root cannot be used .*see to it that the bucket"):
            check("s3://absent/root")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for check in (files.check_writable, files.check_readable):
        with pytest.raises(InputError, match="cannot be used"):
            check("s3://bucket/root")


@pytest.mark.parametrize("root", PLACES[:2], indirect=True)  # Beam's client of S3 writes no empty file.
def test_several_try_a_folder_at_once(root: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(files.check_writable, [root] * 40))
    assert files.file_names(root) == []


def test_credentials_that_are_missing_are_told(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InputError, match="cannot be used"):
        files.check_writable(bucket)


@pytest.mark.parametrize(
    ("uri", "remote"),
    [("s3://b/c", True), ("hdfs://h/c", True), ("/a/b", False), ("a", False), ("file:///a", False)],
)
def test_paths_are_told_from_uris(uri: str, remote: bool) -> None:
    assert is_remote(uri) == remote


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("S3://b//c/./d/", "s3://b/c/d"),
        ("s3://b", "s3://b"),
        ("hdfs://h:1/c/", "hdfs://h:1/c"),
        ("hdfs:///c/", "hdfs:///c"),
        ("./a//b/", "a/b"),
        ("/a/../b", "/a/../b"),
        ("~/a/", "~/a"),
        ("file:///a", "file:///a"),
        ("", ""),
    ],
)
def test_a_place_has_one_spelling(uri: str, expected: str) -> None:
    assert normalised(uri) == normalised(expected) == expected


def test_uris_are_put_together_and_taken_apart() -> None:
    assert join("s3://b/c/", "d", "e") == "s3://b/c/d/e"
    assert (parent_of("s3://b/c/d/"), name_of("s3://b/c/d/")) == ("s3://b/c", "d")
