import os
import pathlib
import shutil
import socket

import pytest

from components.errors import InputError
from components.example_gen import splitting
from components.example_gen.source import Record, Skipped
from components.example_gen.sources.image_folder import ImageFolderData, ImageFolderSource
from components.example_gen.splitting import SplitFractions

SPLITS = ("train", "validation", "test")
FRACTIONS = SplitFractions(train=0.5, validation=0.25, test=0.25)


def open_folder(path: pathlib.Path, *, labels: bool = True) -> ImageFolderSource:
    return ImageFolderData(
        source="image_folder", path=str(path), split_fractions=FRACTIONS, labels=labels
    ).make_source()


def read(source: ImageFolderSource, split: str) -> list[Record | Skipped]:
    return [item for shard in source.shards(split) for item in source.read(shard)]


def test_reads_split_folders(pets: pathlib.Path) -> None:
    source = open_folder(pets)
    source.check()
    assert source.class_names == ("cat", "dog")
    labels = {item.id: item.label for item in read(source, "train")}
    assert labels == {f"train/cat/{i}.png": 0 for i in range(4)} | {f"train/dog/{i}.png": 1 for i in range(3)}
    assert {item.id for item in read(source, "test")} == {"test/cat/0.png", "test/dog/0.png"}
    assert all(item.image == (pets / item.id).read_bytes() for item in read(source, "train"))


def test_splits_class_folders_by_name_alone(make_folder) -> None:
    names = [f"{name}/{index}.jpg" for name in "ab" for index in range(100)]
    root = make_folder(dict.fromkeys(names, b"-"))
    source = open_folder(root)
    source.check()
    before = {item.id: split for split in SPLITS for item in read(source, split)}
    assert sorted(before) == sorted(names)
    assert 70 < list(before.values()).count("train") < 130
    for name in names[::2]:
        (root / name).unlink()
    after = {item.id: split for split in SPLITS for item in read(source, split)}
    assert after == {name: before[name] for name in names[1::2]}


def test_classes_come_mixed(make_folder) -> None:
    files = {f"{split}/{name}/{index}.png": b"-" for split in SPLITS for name in "ab" for index in range(50)}
    labels = [item.label for item in read(open_folder(make_folder(files)), "train")]
    assert 15 < sum(labels[:50]) < 35


def test_reports_what_it_leaves_out(pets: pathlib.Path) -> None:
    (pets / "train/cat/notes.txt").write_text("about cats", encoding="utf-8")
    (pets / "train/cat/.DS_Store").write_bytes(b"hidden")
    (pets / "train/stray.png").write_bytes(b"-")
    (pets / "README.md").write_text("pets", encoding="utf-8")
    (pets / "train/dog/gone.png").symlink_to(pets / "nowhere.png")
    source = open_folder(pets)
    source.check()
    items = read(source, "train")
    assert {(item.id, item.reason, item.corrupt) for item in items if isinstance(item, Skipped)} == {
        ("train/cat/notes.txt", "not a .jpg, .jpeg or .png file", False),
        ("train/stray.png", "not in a class folder", False),
        ("README.md", "beside the split folders", False),
        ("train/dog/gone.png", "cannot be read: No such file or directory", True),
    }
    assert sum(isinstance(item, Record) for item in items) == 7


def test_accepts_links_and_capital_suffixes(pets: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.move(pets / "train/dog", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/0.png").rename(tmp_path / "elsewhere/0.JPeG")
    (pets / "train/dog").symlink_to(tmp_path / "elsewhere")
    source = open_folder(pets)
    source.check()
    assert {item.id for item in read(source, "train") if item.label == 1} == {
        "train/dog/0.JPeG",
        "train/dog/1.png",
        "train/dog/2.png",
    }


def test_refuses_a_missing_folder_and_a_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"nowhere', which does not exist"):
        open_folder(tmp_path / "nowhere").check()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file', which is a file"):
        open_folder(tmp_path / "file").check()


def test_refuses_a_folder_without_classes(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="holds no class folders"):
        open_folder(tmp_path).check()
    (tmp_path / "1.png").touch()
    with pytest.raises(InputError, match="holds no class folders"):
        open_folder(tmp_path).check()


def test_refuses_a_single_class(pets: pathlib.Path, make_folder) -> None:
    for split in SPLITS:
        shutil.rmtree(pets / split / "dog")
    with pytest.raises(InputError, match=r"train' holds only the class folder 'cat'.*at least two"):
        open_folder(pets).check()


def test_refuses_an_unknown_class(pets: pathlib.Path) -> None:
    (pets / "test/fox").mkdir()
    with pytest.raises(InputError, match=r"test' holds the class folder 'fox', which train lacks .*cat, dog"):
        open_folder(pets).check()


def members(source: ImageFolderSource) -> dict[str, set[str]]:
    return {split: {item.id for item in read(source, split) if isinstance(item, Record)} for split in SPLITS}


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("validation", ["validation", "val", "VALID", "dev", "eval"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_split_folders_have_the_usual_names(make_folder, train: str, validation: str, test: str) -> None:
    names = {"train": train, "validation": validation, "test": test}
    expected = {split: {f"{names[split]}/{name}/1.JPEG" for name in "ab"} for split in SPLITS}
    source = open_folder(make_folder(dict.fromkeys(set().union(*expected.values()), b"-")))
    source.check()
    assert (source.class_names, members(source), source.notes()) == (("a", "b"), expected, [])


def fill(*folders: str, images: int = 40) -> dict[str, bytes]:
    """Images of two classes below each of some folders."""
    return {
        f"{folder}/{name}/{index}.jpg": b"-" for folder in folders for name in "ab" for index in range(images)
    }


def test_a_missing_validation_folder_is_held_out_of_train_for_good(make_folder) -> None:
    root = make_folder(fill("train", "test"))
    source = open_folder(root)
    source.check()
    # Of train and validation, whose fractions are 0.5 and 0.25, a third.
    expected = {path for path in fill("train") if splitting.position(path) >= 2 / 3}
    before = members(source)
    assert before["validation"] == expected
    assert before["train"] == fill("train").keys() - expected
    assert before["test"] == fill("test").keys()
    assert source.notes() == ["held out of train/ by a hash of each path: validation (33% of it)"]
    make_folder({f"train/a/more{index}.jpg": b"-" for index in range(40)})
    assert before["validation"] <= members(open_folder(root))["validation"]


@pytest.mark.parametrize("name", ["val", "Valid"])
def test_the_only_folder_beside_train_is_the_test_split(make_folder, name: str) -> None:
    source = open_folder(make_folder(fill("train", name)))
    source.check()
    found = members(source)
    assert found["test"] == fill(name).keys()
    assert found["validation"]
    assert found["train"] | found["validation"] == fill("train").keys()
    assert source.notes() == [
        "held out of train/ by a hash of each path: validation (33% of it)",
        f"{name}/ is the test split, which is only measured on",
    ]


def test_a_test_folder_without_labels_is_left_out(make_folder) -> None:
    loose = {f"test/{index}.jpg": b"-" for index in range(10)}
    source = open_folder(make_folder(fill("train") | loose))
    source.check()
    found = members(source)
    assert found["train"] | found["validation"] | found["test"] == fill("train").keys()
    assert all(found.values())
    assert source.notes() == [
        "held out of train/ by a hash of each path: validation (25% of it) and test (25% of it)",
        "test/ is left out: a split folder without class folders",
    ]
    skipped = {item for split in SPLITS for item in source.listing(split).skipped}
    assert skipped == {Skipped("test", "a split folder without class folders")}


def test_two_folders_for_one_split_are_refused_by_name(make_folder) -> None:
    root = make_folder(fill("train", "val", "valid", "test", images=1))
    with pytest.raises(InputError, match="holds 'val' and 'valid', and either may be the validation split"):
        open_folder(root).check()


def test_split_folders_without_one_to_train_on_are_refused(pets: pathlib.Path) -> None:
    (pets / "train").rename(pets / "pictures")
    with pytest.raises(InputError, match=r"lacks the folder 'train' \(found: pictures, test, validation\)"):
        open_folder(pets).check()


def test_a_class_may_be_called_as_a_split_is(make_folder) -> None:
    files = {f"{name}/{index}.jpg": b"-" for name in ("bus", "train") for index in range(40)}
    source = open_folder(make_folder(files))
    source.check()
    assert (source.class_names, source.notes()) == (("bus", "train"), [])


def test_splits_of_loose_images_are_not_taken_for_classes(make_folder) -> None:
    files = {f"{name}/{index}.jpg": b"-" for name in ("train", "test") for index in range(9)}
    with pytest.raises(InputError, match="train' holds no class folders"):
        open_folder(make_folder(files)).check()


def test_images_beside_a_list_are_refused_with_the_way_to_read_it(make_folder) -> None:
    root = make_folder({"train/1.jpg": b"-", "train/metadata.csv": b"file_name,label\n1.jpg,a\n"})
    with pytest.raises(InputError, match=r"train' holds no class folders; .*set data.source: image_list\.$"):
        open_folder(root).check()


def test_images_lie_at_any_depth_below_their_class(make_folder) -> None:
    files = {f"{name}/images/{index}/x.JPEG": b"-" for name in "ab" for index in range(40)}
    root = make_folder(files)
    (root / "a/images/up").symlink_to(root / "a")
    source = open_folder(root)
    source.check()
    assert set().union(*members(source).values()) == files.keys()
    skipped = [item for split in SPLITS for item in source.listing(split).skipped]
    assert skipped == [Skipped("a/images/up", "a link to a folder that it lies in")]


def test_a_folder_around_the_class_folders_is_named(make_folder) -> None:
    root = make_folder(fill("PetImages"))
    with pytest.raises(InputError, match=r"if the classes .* lie in '.*images/PetImages', give that\.$"):
        open_folder(root).check()


def test_a_folder_far_above_its_splits_is_refused_with_the_one_to_give(make_folder) -> None:
    files = {f"ILSVRC/Data/CLS-LOC/{split}/n0{index}/1.JPEG": b"-" for split in SPLITS for index in (1, 2)}
    folder = make_folder(files)
    with pytest.raises(
        InputError, match=r"class folder 'ILSVRC'; .* lie in '.*/ILSVRC/Data/CLS-LOC', give that\.$"
    ):
        open_folder(folder).check()
    open_folder(folder / "ILSVRC/Data/CLS-LOC").check()


def test_a_chain_of_links_has_no_folder_to_give(make_folder) -> None:
    folder = make_folder({"cat/1.jpg": b"-"})
    (folder / "cat/again").symlink_to(folder)
    with pytest.raises(InputError, match=r"only the class folder 'cat'; a classifier needs at least two\.$"):
        open_folder(folder).check()


@pytest.mark.timeout(60)
def test_only_regular_files_are_read(pets: pathlib.Path) -> None:
    os.mkfifo(pets / "train/cat/pipe.png")
    os.mkfifo(pets / "train/loose.png")
    (pets / "train/dog/null.png").symlink_to("/dev/null")
    (pets / "train/dog/link.png").symlink_to(pets / "train/dog/0.png")
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.open(pets / "train/dog", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/talk.png")  # A socket's path must be short.
        os.close(directory)
        source = open_folder(pets)
        source.check()
        items = read(source, "train")
        source.fingerprint()
    assert {(item.id, item.reason) for item in items if isinstance(item, Skipped)} == {
        ("train/cat/pipe.png", "a named pipe"),
        ("train/loose.png", "not in a class folder"),
        ("train/dog/null.png", "a device"),
        ("train/dog/talk.png", "a socket"),
    }
    images = {item.id: item.image for item in items if isinstance(item, Record)}
    assert images["train/dog/link.png"] == images["train/dog/0.png"]


def test_refuses_a_class_without_images(pets: pathlib.Path) -> None:
    for image in (pets / "train/dog").iterdir():
        image.rename(image.with_suffix(".bmp"))
    with pytest.raises(InputError, match=r"train/dog' holds no .jpg, .jpeg or .png file"):
        open_folder(pets).check()


def test_refuses_a_split_without_images(pets: pathlib.Path, make_folder, tmp_path: pathlib.Path) -> None:
    shutil.rmtree(pets / "test")
    (pets / "test").mkdir()
    with pytest.raises(InputError, match=r"test' holds no image"):
        open_folder(pets).check()
    small = tmp_path / "small"
    for name in "ab":
        (small / name).mkdir(parents=True)
        (small / name / "0.png").touch()
    with pytest.raises(InputError, match=r"data.split_fractions.\w+: got .* none of the 2 images"):
        open_folder(small).check()


def test_fingerprint_follows_the_files(pets: pathlib.Path) -> None:
    source = open_folder(pets)
    seen = {source.fingerprint()}
    assert source.fingerprint() in seen
    image = pets / "train/cat/0.png"
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 1))
    seen.add(source.fingerprint())
    image.write_bytes(image.read_bytes() + b"-")
    seen.add(source.fingerprint())
    image.rename(image.with_name("first.png"))
    seen.add(source.fingerprint())
    (pets / "train/cat/9.png").touch()
    seen.add(source.fingerprint())
    assert len(seen) == 5


@pytest.fixture
def unlabelled_pets(pets: pathlib.Path) -> pathlib.Path:
    """The pets, of which those to train on lie together and those to validate on in folders of any name."""
    for image in [*pets.glob("train/*/*")]:
        image.rename(pets / "train" / f"{image.parent.name}{image.name}")
    for name in ("cat", "dog"):
        (pets / "train" / name).rmdir()
        (pets / "validation" / name).rename(pets / "validation" / f"from a {name} owner")
    return pets


def test_without_labels_only_the_test_split_has_class_folders(unlabelled_pets: pathlib.Path) -> None:
    source = open_folder(unlabelled_pets, labels=False)
    source.check()

    assert source.class_names == ("cat", "dog")
    training = {item.id: item.label for item in read(source, "train")}
    names = [f"train/cat{i}.png" for i in range(4)] + [f"train/dog{i}.png" for i in range(3)]
    assert training == dict.fromkeys(names, -1)
    validation = {item.id: getattr(item, "label", None) for item in read(source, "validation")}
    assert validation == {
        "validation/from a cat owner/0.png": -1,
        "validation/from a dog owner/0.png": -1,
    }
    assert {item.id: item.label for item in read(source, "test")} == {
        "test/cat/0.png": 0,
        "test/dog/0.png": 1,
    }


def test_images_without_class_folders_are_refused_with_the_way_out(unlabelled_pets: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"train' holds no class folders; .*set data.labels: false\.$"):
        open_folder(unlabelled_pets).check()


def test_without_labels_the_test_split_still_needs_classes(unlabelled_pets: pathlib.Path) -> None:
    shutil.rmtree(unlabelled_pets / "test/dog")
    with pytest.raises(InputError, match=r"test' holds only the class folder 'cat'; .* at least two\.$"):
        open_folder(unlabelled_pets, labels=False).check()


def test_the_folder_of_images_without_labels_is_no_class(make_folder, make_image) -> None:
    names = [f"{name}/{index}.png" for name in ("cat", "dog", "more") for index in range(20)]
    folder = make_folder({name: make_image(seed=seed) for seed, name in enumerate(names)})
    data = ImageFolderData(source="image_folder", path=str(folder), unlabelled=str(folder / "more"))
    source = data.make_source()
    source.check()
    assert source.class_names == ("cat", "dog")
    assert sum(sum(source.listing(split).labels.values()) for split in SPLITS) == 40


def test_a_home_of_nobody_is_no_folder() -> None:
    with pytest.raises(InputError, match="does not exist"):
        ImageFolderData(source="image_folder", path="~nobody-of-this-name/photos").make_source().check()
