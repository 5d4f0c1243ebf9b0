"""TFX's own reading and writing, of a URI that TensorFlow does not know."""

import pytest

pytest.importorskip("tfx")

from tfx.dsl.io import fileio, filesystem_registry
from tfx.utils import io_utils

from components.storage import files, tfx_file_system


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = filesystem_registry.FilesystemRegistry()
    vars(registry).update(
        {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in vars(filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY).items()
        }
    )
    monkeypatch.setattr(filesystem_registry, "DEFAULT_FILESYSTEM_REGISTRY", registry)
    tfx_file_system.register()


def test_tfx_writes_reads_copies_and_removes(bucket: str) -> None:
    io_utils.write_string_file(f"{bucket}/a/text", "one\ntwo")
    with fileio.open(f"{bucket}/a/b/data", "wb") as file:
        file.write(b"\0\1")

    assert io_utils.read_string_file(f"{bucket}/a/text") == "one\ntwo"
    assert [line.strip() for line in fileio.open(f"{bucket}/a/text")] == ["one", "two"]
    assert fileio.open(f"{bucket}/a/b/data", "rb").read() == b"\0\1"
    assert (fileio.exists(f"{bucket}/a"), fileio.isdir(f"{bucket}/a"), fileio.isdir(f"{bucket}/a/text")) == (
        True,
        True,
        False,
    )
    assert fileio.listdir(f"{bucket}/a") == ["b", "text"]
    assert fileio.glob(f"{bucket}/a/t*") == [f"{bucket}/a/text"]
    assert io_utils.get_only_uri_in_dir(f"{bucket}/a/b") == f"{bucket}/a/b/data"

    io_utils.copy_dir(f"{bucket}/a", f"{bucket}/c")
    fileio.rename(f"{bucket}/c/text", f"{bucket}/c/other")
    fileio.rmtree(f"{bucket}/a")
    assert sorted(each.name for each in files.files_below(bucket)) == ["c/b/data", "c/other"]


def test_what_is_missing_or_not_finished_is_as_tfx_expects(bucket: str) -> None:
    with pytest.raises(fileio.NotFoundError):
        fileio.open(f"{bucket}/absent")
    with pytest.raises(ZeroDivisionError):
        _fail_to_write(f"{bucket}/a")
    assert not fileio.exists(f"{bucket}/a")


def _fail_to_write(uri: str) -> None:
    with fileio.open(uri, "w") as file:
        file.write("half")
        raise ZeroDivisionError
