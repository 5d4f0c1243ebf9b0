import pathlib
import pickle
import re
import shutil

import pytest

from components.errors import InputError
from components.example_gen.registry import open_source
from components.example_gen.source import NO_LABEL, Record, Skipped
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.splitting import SplitFractions

SPLITS = ("train", "validation", "test")
FRACTIONS = SplitFractions(train=0.5, validation=0.25, test=0.25)


def open_spans(path, **settings):
    return ImageFolderData(
        source="image_folder", path=str(path), split_fractions=FRACTIONS, **settings
    ).make_source()


def read(source, split):
    return [item for shard in source.shards(split) for item in source.read(shard)]


def read_all(source):
    """The split and the record of each image, by its id."""
    return {item.id: (split, item) for split in SPLITS for item in read(source, split)}


def splits_of(source):
    return {name: split for name, (split, _) in read_all(source).items()}


@pytest.fixture
def root(make_folder):
    """Three Sundays, on each of which 30 images of two classes came, by the same names."""
    days = ("2026-11-01", "2026-11-08", "2026-11-15")
    names = [f"{day}/{name}/{index}.png" for day in days for name in ("cat", "dog") for index in range(15)]
    return make_folder({name: name.encode() for name in names})


def test_the_same_name_in_two_spans_is_two_images(root):
    source = open_spans(root / "{YYYY}-{MM}-{DD}", window=2)
    source.prepare()
    found = read_all(source)
    assert len(found) == 60
    assert {item.id.split("/")[0] for _, item in found.values()} == {"2026-11-08", "2026-11-15"}
    assert all(item.image == name.encode() for name, (_, item) in found.items())
    assert {item.label for name, (_, item) in found.items() if "/dog/" in name} == {1}
    assert {split for split, _ in found.values()} == set(SPLITS)


def test_an_image_keeps_its_split_in_every_window(root):
    path = root / "{YYYY}-{MM}-{DD}"
    windows = [
        splits_of(open_spans(path, window=window, span=span))
        for window in (1, 2, 3)
        for span in ("2026-11-01", "2026-11-08", "2026-11-15")
    ]
    whole = splits_of(open_spans(path, window=3))
    assert len(whole) == 90
    assert all(split == whole[name] for found in windows for name, split in found.items())


def test_an_image_that_is_delivered_again_is_in_the_split_that_it_was_in(root):
    path = root / "{YYYY}-{MM}-{DD}"
    before = read_all(open_spans(path, span="2026-11-01"))
    for number, (_, record) in enumerate(before.values()):
        again = root / "2026-11-22" / "cat" / "more" / f"{number}.png"
        again.parent.mkdir(parents=True, exist_ok=True)
        again.write_bytes(record.image)
    (root / "2026-11-22/dog").mkdir()
    (root / "2026-11-22/dog/0.png").write_bytes(b"a dog")
    after = read_all(open_spans(path, span="2026-11-22"))
    split_of = {record.image: split for split, record in before.values()}
    copies = [(split, record) for split, record in after.values() if record.image != b"a dog"]
    assert len(copies) == 30
    assert {split for split, _ in copies} == set(SPLITS)
    assert all(split == split_of[record.image] for split, record in copies)


def make_version(root: pathlib.Path, changes: dict[str, bytes | None], *, of: str, version: str) -> None:
    shutil.copytree(root / of, root / version)
    for name, content in changes.items():
        if content is None:
            (root / version / name).unlink()
        else:
            (root / version / name).parent.mkdir(exist_ok=True)
            (root / version / name).write_bytes(content)


@pytest.fixture
def versions(make_folder):
    """A span that came in one version."""
    names = [f"7/v1/{name}/{index:02}.png" for name in ("cat", "dog") for index in range(20)]
    return make_folder({name: name.encode() for name in names}) / "7"


def test_a_corrected_image_keeps_its_split_and_its_id(versions):
    path = versions.parent / "{SPAN}" / "v{VERSION}"
    before = read_all(open_spans(path))
    names = [f"{name}/{index:02}.png" for name in ("cat", "dog") for index in range(20)]
    make_version(versions, {name: f"better {name}".encode() for name in names}, of="v1", version="v2")
    make_version(versions, {name: f"best {name}".encode() for name in names}, of="v2", version="v10")
    after = read_all(open_spans(path))
    assert {name: split for name, (split, _) in after.items()} == {
        name: split for name, (split, _) in before.items()
    }
    assert all(record.image == f"best {name[2:]}".encode() for name, (_, record) in after.items())


def test_an_image_that_a_new_version_puts_elsewhere_keeps_its_split(versions):
    """Its label was wrong, or the images were numbered anew when one was removed."""
    path = versions.parent / "{SPAN}" / "v{VERSION}"
    before = {record.image: split for split, record in read_all(open_spans(path)).values()}
    contents = [(versions / f"v1/cat/{index:02}.png").read_bytes() for index in range(20)]
    renumbered = {f"cat/{index:02}.png": content for index, content in enumerate(contents[1:])}
    relabelled = {"cat/19.png": None, "dog/20.png": contents[0]}
    make_version(versions, renumbered | relabelled, of="v1", version="v2")
    after = {record.image: split for split, record in read_all(open_spans(path)).values()}
    assert len(set(before.values())) == 3
    assert after == before


def test_files_that_came_empty_do_not_share_a_split_once_they_are_whole(versions):
    path = versions.parent / "{SPAN}" / "v{VERSION}"
    whole = {
        name: (versions / "v1" / name).read_bytes() for name in ("cat/00.png", "cat/01.png", "cat/02.png")
    }
    whole |= {f"dog/{index:02}.png": f"dog {index}".encode() for index in range(20)}
    make_version(versions, whole, of="v1", version="v2")
    for name in whole:
        (versions / "v1" / name).write_bytes(b"")
    splits = splits_of(open_spans(path))
    assert {splits[f"7/dog/{index:02}.png"] for index in range(20)} == set(SPLITS)


def test_a_class_needs_not_come_in_every_span(root):
    shutil.rmtree(root / "2026-11-15/dog")
    (root / "2026-11-15/bird").mkdir()
    (root / "2026-11-15/bird/0.png").write_bytes(b"bird")
    source = open_spans(root / "{YYYY}-{MM}-{DD}", window=2)
    source.check()
    assert source.class_names == ("bird", "cat", "dog")
    labels = {name: item.label for name, (_, item) in read_all(source).items()}
    assert labels["2026-11-15/bird/0.png"] == 0
    assert labels["2026-11-15/cat/0.png"] == labels["2026-11-08/cat/0.png"] == 1
    (root / "2026-11-15/dog").mkdir()
    with pytest.raises(InputError, match=r"of whose spans 2026-11-15 none holds a .* of the class 'dog'"):
        open_spans(root / "{YYYY}-{MM}-{DD}").check()


def test_spans_of_one_class_are_refused(make_folder):
    root = make_folder({"7/cat/0.png": b"0", "8/cat/0.png": b"1"})
    with pytest.raises(
        InputError, match=r"of whose spans 7, 8 all images are of the class 'cat'; .* at least two"
    ):
        open_spans(root / "{SPAN}", window=2).check()


@pytest.mark.parametrize("folders", [("train", "test"), ("train", "extra")])
def test_split_folders_in_spans_are_refused(make_folder, folders):
    root = make_folder({f"7/{split}/{name}/0.png": b"-" for split in folders for name in ("cat", "dog")})
    message = "7' holds the split folder '(train|test)', but the split of an image in a span follows"
    with pytest.raises(InputError, match=message):
        open_spans(root / "{SPAN}").check()


def test_what_is_no_image_is_left_out_by_name(root):
    (root / "2026-11-15/cat/notes.txt").write_text("about cats")
    (root / "2026-11-15/readme.md").write_text("about all")
    source = open_spans(root / "{YYYY}-{MM}-{DD}")
    skipped = {item.id: item.reason for item in read(source, "train") if isinstance(item, Skipped)}
    assert skipped == {
        "2026-11-15/cat/notes.txt": "not a .jpg, .jpeg or .png file",
        "2026-11-15/readme.md": "not in a class folder",
    }
    assert {item.id: item.reason for item in source.listing("train").skipped} == skipped
    assert sum(sum(source.listing(split).labels.values()) for split in SPLITS) == 30


def test_fractions_that_leave_a_split_empty_are_refused_before_anything_is_written(make_folder):
    root = make_folder({"7/cat/0.png": b"0", "7/dog/0.png": b"1"})
    source = open_spans(root / "{SPAN}")
    source.check()
    with pytest.raises(InputError, match="which leaves none of the 2 images to the"):
        source.prepare()


def test_the_window_is_chosen_once_and_the_shards_are_read_anywhere(root):
    source = open_spans(root / "{YYYY}-{MM}-{DD}")
    source.check()
    shards = {split: source.shards(split) for split in SPLITS}
    (root / "2026-11-22").mkdir()
    elsewhere = pickle.loads(pickle.dumps(source))
    records = [item for split in SPLITS for shard in shards[split] for item in elsewhere.read(shard)]
    assert all(isinstance(item, Record) for item in records)
    assert {item.id.split("/")[0] for item in records} == {"2026-11-15"}
    assert [span.name for span in source.spans()] == ["2026-11-15"]


def test_the_fingerprint_covers_all_spans_of_the_window_and_all_their_versions(make_folder):
    days = [
        f"{span}/v{version}/{name}/0.png" for span in (6, 7, 8) for version in (1, 2) for name in ("a", "b")
    ]
    root = make_folder({name: name.encode() for name in days})
    path = root / "{SPAN}" / "v{VERSION}"

    def fingerprint(**settings):
        return open_spans(path, **{"window": 2} | settings).fingerprint()

    first = fingerprint()
    assert first == fingerprint(span="8")
    assert first not in (fingerprint(span="7"), fingerprint(window=3), fingerprint(window=1))
    (root / "6/v1/a/0.png").write_bytes(b"not in the window")
    assert fingerprint() == first
    seen = {first}
    for changed in ("7/v1/a/0.png", "7/v2/b/0.png", "8/v2/a/1.png"):
        (root / changed).write_bytes(b"changed")
        seen.add(fingerprint())
    assert len(seen) == 4


def test_a_missing_span_is_noted(make_folder):
    root = make_folder({f"{span}/{name}/0.png": f"{span}{name}".encode() for span in (6, 8) for name in "ab"})
    source = open_spans(root / "{SPAN}", window=3, on_missing_span="skip")
    source.check()
    assert source.notes() == ["span 7 is missing, and is left out"]
    assert [span.name for span in source.spans()] == ["6", "8"]


def test_a_folder_of_images_without_labels_in_a_span_is_no_class(make_folder):
    names = [f"7/{name}/{index}.png" for name in ("cat", "dog", "more") for index in range(20)]
    root = make_folder({name: name.encode() for name in names})
    source = open_spans(root / "{SPAN}", unlabelled=str(root / "7/more"))
    source.check()
    assert source.class_names == ("cat", "dog")
    assert len(read_all(source)) == 40


@pytest.mark.parametrize("settings", [{"labels": False}, {"labelled_fraction": 0.5}])
def test_images_without_labels_come_in_spans_too(root, settings):
    data = ImageFolderData(source="image_folder", path=f"{root}/{{YYYY}}-{{MM}}-{{DD}}", window=2, **settings)
    source = open_source(data)
    source.prepare()
    assert [span.name for span in source.spans()] == ["2026-11-08", "2026-11-15"]
    labels = {item.label for item in read(source, "train")}
    assert labels == ({NO_LABEL} if settings == {"labels": False} else {0, 1})
    assert {item.label for item in read(source, "test")} == {0, 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"path": "photos/{YYYY}-{MM}"},
            "a path of spans holds {SPAN} once, or each of {YYYY}, {MM}, {DD} once",
        ),
        ({"path": "photos", "span": "7"}, "data.path is one folder; put {SPAN} or {YYYY}-{MM}-{DD} into it"),
        ({"path": "photos", "window": 7}, "data.path is one folder"),
        ({"path": "photos", "on_missing_span": "skip"}, "data.path is one folder"),
        ({"path": "photos/{SPAN}", "span": "yesterday"}, "must be a whole number"),
        ({"path": "photos/{YYYY}-{MM}-{DD}", "span": "7"}, "must be a date such as 2026-11-22"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageFolderData(source="image_folder", **settings)


def test_the_settings_travel_as_json(root):
    for settings in ({"path": "photos"}, {"path": "photos/{SPAN}", "span": "7", "window": 3}):
        data = ImageFolderData(source="image_folder", **settings)
        assert ImageFolderData.model_validate_json(data.model_dump_json()) == data
