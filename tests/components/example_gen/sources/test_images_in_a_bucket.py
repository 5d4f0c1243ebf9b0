"""Images in an object store: they are found and read as those in a folder here are."""

import logging
import pathlib
import re
import shutil
from collections.abc import Callable

import pytest

from components.errors import InputError
from components.example_gen.registry import open_source
from components.example_gen.source import Source
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.sources.tfds import Splits, TfdsData
from components.storage import files
from components.storage.copies import upload

Folder = Callable[..., pathlib.Path]
SPLITS = ("train", "validation", "test")


def open_folder(path: object, **settings: object) -> Source:
    return open_source(ImageFolderData(source="image_folder", path=str(path), **settings))


def found(source: Source, splits: tuple[str, ...] = SPLITS) -> dict[str, list[object]]:
    source.check()
    return {
        split: [item for shard in source.shards(split) for item in source.read(shard)] for split in splits
    }


def test_a_folder_is_read_as_one_here_is(pets: pathlib.Path, bucket: str) -> None:
    (pets / "train/cat/notes.txt").write_text("about cats", encoding="utf-8")
    (pets / "train/cat/.DS_Store").write_bytes(b"hidden")
    (pets / "train/dog/2026").mkdir()
    shutil.copy(pets / "train/dog/0.png", pets / "train/dog/2026/9 #1.PNG")
    upload(pets, bucket)

    here, there = open_folder(pets), open_folder(bucket)
    assert found(there) == found(here)
    assert there.class_names == ("cat", "dog")
    assert [there.listing(split) for split in SPLITS] == [here.listing(split) for split in SPLITS]


def test_what_lies_beside_is_found_too(make_folder: Folder, bucket: str) -> None:
    names = [f"{name}/{number}.jpg" for name in "ab" for number in range(40)]
    data = make_folder({f"data/{name}": name.encode() for name in names})
    more = make_folder({"more/x/1.png": b"1", "more/2.jpg": b"2", "more/.hidden/3.jpg": b"3"})
    fixed = make_folder({"fixed/a/1.png": b"a", "fixed/b/2.jpg": b"b"})
    root = data if data == more == fixed else data.parent
    upload(root, bucket)
    splits = (*SPLITS, "unlabelled", "reference")
    places = {
        place: open_folder(f"{place}/data", unlabelled=f"{place}/more", reference=f"{place}/fixed")
        for place in (str(root), bucket)
    }
    here, there = places.values()
    assert found(there, splits) == found(here, splits)
    assert [item.id for item in found(there, splits)["unlabelled"]] != []


def test_the_fingerprint_follows_from_the_listing(pets: pathlib.Path, bucket: str) -> None:
    upload(pets, bucket)
    before = open_folder(bucket).fingerprint()
    assert open_folder(bucket).fingerprint() == before
    files.write_bytes(f"{bucket}/train/cat/0.png", b"of another content")
    changed = open_folder(bucket).fingerprint()
    files.remove(f"{bucket}/train/cat/0.png")
    assert len({before, changed, open_folder(bucket).fingerprint()}) == 3


def test_no_image_is_asked_for_by_itself_until_it_is_read(
    make_folder: Folder, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 60 images in 3 classes: a few looks at the folder, and a listing of it and of each class."""
    upload(make_folder({f"{name}/{number}.jpg": b"-" for name in "abc" for number in range(20)}), bucket)
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        source = open_folder(bucket)
        source.check()
        source.fingerprint()
    asked = re.findall(r'"(GET|HEAD) /\w+\??(\S*) ', caplog.text)
    assert {method for method, _ in asked} == {"GET"}
    assert all("list-type=2" in query for _, query in asked)
    assert len(asked) == 4 + 1 + 3


def test_spans_are_found(make_folder: Folder, bucket: str) -> None:
    root = make_folder(
        {
            f"{span}/{name}/{number}.jpg": f"{span}{name}{number}".encode()
            for span in ("3", "5", "07")
            for name in "ab"
            for number in range(30)
        }
    )
    upload(root, bucket)
    settings = {"window": 2, "on_missing_span": "skip"}
    here, there = (open_folder(f"{place}/{{SPAN}}", **settings) for place in (root, bucket))
    there.prepare()
    assert [span.name for span in there.spans()] == [span.name for span in here.spans()] == ["7"]
    assert found(there) == found(here)
    assert len(found(there)["train"]) > 30


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{bucket}/absent", "data.path: got '.*/absent', which does not exist; give a folder of images"),
        ("s3://no-such-bucket/photos", "data.path: got 's3://no-such-bucket/photos', which cannot be used"),
    ],
)
def test_what_is_not_there_is_told(bucket: str, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_folder(path.format(bucket=bucket)).check()


def test_prepared_data_of_tfds_is_read(tfds_data: pathlib.Path, bucket: str) -> None:
    upload(tfds_data / "mnist", f"{bucket}/mnist")
    splits = Splits(train="train[:1200]", validation="train[1200:1210]", test="test[-3:]")
    here, there = (
        open_source(TfdsData(source="tfds", dataset="mnist", data_dir=str(place), splits=splits))
        for place in (tfds_data, bucket)
    )
    there.prepare()
    assert there.class_names == tuple("0123456789")
    assert found(there, ("validation", "test")) == found(here, ("validation", "test"))
    before = there.fingerprint()
    files.write_text(f"{bucket}/mnist/3.0.1/more", "")
    assert there.fingerprint() != before
    with pytest.raises(InputError, match="holds no prepared 'cifar10'; prepare it here, and copy it there"):
        open_source(TfdsData(source="tfds", dataset="cifar10", data_dir=bucket, splits=splits)).check()
