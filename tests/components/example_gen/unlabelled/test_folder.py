import os
import pathlib

import pytest

from components.errors import InputError
from components.example_gen.source import Record, Skipped
from components.example_gen.unlabelled.folder import UnlabelledFolder


def read(path: pathlib.Path) -> dict[str, Record | Skipped]:
    folder = UnlabelledFolder(str(path))
    folder.check()
    return {
        item.id.removeprefix("unlabelled://"): item
        for shard in folder.shards()
        for item in folder.read(shard)
    }


def test_finds_images_of_any_name_at_any_depth(make_folder) -> None:
    files = {"a b.JPG": b"1", "deep/er/c.jpeg": b"2", "deep/d.png": b"3", "deep/train/cat/e.png": b"4"}
    root = make_folder(files | {".hidden.png": b"5", ".cache/f.png": b"6"})

    items = read(root)

    assert {name: (item.image, item.label) for name, item in items.items()} == {
        name: (content, -1) for name, content in files.items()
    }


def test_reports_what_is_no_image_and_never_waits_for_it(make_folder, tmp_path: pathlib.Path) -> None:
    root = make_folder({"a.png": b"1", "notes.txt": b"2"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "in a linked folder.png").write_bytes(b"3")
    (root / "round.png").symlink_to(root)
    (root / "linked").symlink_to(other)
    (root / "linked.png").symlink_to(other / "in a linked folder.png")
    (root / "gone.png").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.png")

    items = read(root)

    reasons = {name: item.reason for name, item in items.items() if isinstance(item, Skipped)}
    assert reasons == {
        "notes.txt": "not a .jpg, .jpeg or .png file",
        "round.png": "a folder",
        "linked": "a folder",
        "pipe.png": "a named pipe",
        "gone.png": "cannot be read: No such file or directory",
    }
    assert items["linked.png"].image == b"3"


def test_the_fingerprint_follows_the_content(make_folder) -> None:
    root = make_folder({"a/b.png": b"1", "c.png": b"2"})
    before = UnlabelledFolder(str(root)).fingerprint()
    assert UnlabelledFolder(str(root)).fingerprint() == before
    (root / "a/d.png").write_bytes(b"3")
    added = UnlabelledFolder(str(root)).fingerprint()
    (root / "a/b.png").write_bytes(b"12")
    assert len({before, added, UnlabelledFolder(str(root)).fingerprint()}) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "does not exist; give a folder of images."),
        ("a.png", "is a file; give a folder of images."),
        ("empty", "holds no .jpg, .jpeg or .png file; add images, or leave it out."),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(make_folder, name: str, message: str) -> None:
    path = make_folder({"a.png": b"1", "empty/notes.txt": b"2"}) / name
    with pytest.raises(InputError) as caught:
        UnlabelledFolder(str(path)).check()
    assert str(caught.value) == f"data.unlabelled: got {str(path)!r}, which {message}"
