import pathlib
from collections.abc import Sequence

import pytest

from components.errors import InputError
from components.example_gen import dataset, splitting
from components.example_gen.shards import Outcome
from components.example_gen.sources.digits import DigitsData
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.sources.image_list import ImageListData
from components.example_gen.sources.tfds import Splits, TfdsData

MULTI_PROCESSING = (
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
    "--beam_plugins=tfx",
)


def folder(path: pathlib.Path, **settings: float) -> ImageFolderData:
    return ImageFolderData(source="image_folder", path=str(path), **settings)


def content(ingested) -> dict[str, bytes]:
    root = pathlib.Path(ingested.artifact.uri)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_writes_examples_and_a_description(pets: pathlib.Path, ingest) -> None:
    ingested = ingest(folder(pets))
    assert ingested.description == {
        "class_names": ["cat", "dog"],
        "notes": [],
        "spans": [],
        "splits": {
            "train": {"examples": 7, "skipped": []},
            "validation": {"examples": 2, "skipped": []},
            "test": {"examples": 2, "skipped": []},
        },
    }
    examples = {example["id"].decode(): example for example in ingested.examples("train")}
    assert len(examples) == 7
    assert examples["train/cat/3.png"] == {
        "id": b"train/cat/3.png",
        "image": (pets / "train/cat/3.png").read_bytes(),
        "label": 0,
        "height": 12,
        "width": 7,
    }
    assert examples["train/dog/0.png"]["label"] == 1
    assert [path.name for path in ingested.shards("train")] == ["data_tfrecord-00000-of-00001.gz"]
    assert ingested.artifact.split_names == '["train", "validation", "test"]'
    assert ingested.artifact.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"


def test_skips_and_lists_what_cannot_be_used(pets: pathlib.Path, make_image, ingest) -> None:
    jpeg = make_image("JPEG", height=40, width=40)
    (pets / "train/cat/cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (pets / "train/dog/empty.png").write_bytes(b"")
    (pets / "test/dog/text.jpg").write_text("hello", encoding="utf-8")
    (pets / "train/dog/notes.txt").write_text("about dogs", encoding="utf-8")
    ingested = ingest(folder(pets, max_corrupt_fraction=3 / 14))
    splits = ingested.description["splits"]
    assert {split: part["examples"] for split, part in splits.items()} == {
        "train": 7,
        "validation": 2,
        "test": 2,
    }
    assert {item["id"]: item["reason"] for item in splits["train"]["skipped"]} == {
        "train/cat/cut.jpg": "the JPEG is cut short",
        "train/dog/empty.png": "the file is empty",
        "train/dog/notes.txt": "not a .jpg, .jpeg or .png file",
    }
    assert splits["test"]["skipped"] == [{"id": "test/dog/text.jpg", "reason": "not a JPEG or PNG image"}]


def test_says_what_it_held_out(pets: pathlib.Path, make_image, ingest, caplog) -> None:
    for index in range(30):
        (pets / f"train/cat/more{index}.png").write_bytes(make_image())
    for name in ("cat", "dog"):
        (pets / "validation" / name / "0.png").unlink()
        (pets / "validation" / name).rmdir()
    (pets / "validation").rmdir()
    caplog.set_level("INFO")
    ingested = ingest(folder(pets))
    note = "held out of train/ by a hash of each path: validation (11% of it)"
    assert ingested.description["notes"] == [note]
    assert [record.told for record in caplog.records if hasattr(record, "told")] == [f"notes: {note}"]
    assert ingested.description["splits"]["validation"]["examples"] > 0


def make_list(make_image, make_folder, classes: dict[str, str]) -> str:
    """Writes a list with one image of each class in each split."""
    names = [f"{split}/{name}.png" for split, members in classes.items() for name in members]
    root = make_folder({name: make_image(seed=seed) for seed, name in enumerate(names)})
    rows = (f"{name},{pathlib.Path(name).stem},{pathlib.Path(name).parent}" for name in names)
    (root / "list.csv").write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    return str(root / "list.csv")


def test_says_which_classes_have_no_training_image(make_image, make_folder, ingest, caplog) -> None:
    path = make_list(make_image, make_folder, {"train": "ac", "validation": "a", "test": "abcdefgh"})
    caplog.set_level("INFO")
    data = ImageListData(source="image_list", path=path)
    note = "the train split has no labelled image of b, d, e, f, g and 1 more (6 of 8 classes); add images"
    assert ingest(data).description["notes"] == [note]
    assert [record.told for record in caplog.records if hasattr(record, "told")] == [f"notes: {note}"]
    without = ingest(data.model_copy(update={"labels": False}), name="without labels")
    assert without.description["notes"] == []


def test_says_which_classes_the_split_by_hash_left_without_a_training_image(
    make_image, make_folder, ingest
) -> None:
    rare = next(f"rare/{n}.png" for n in range(100) if splitting.position(f"rare/{n}.png") > 0.9)
    names = [rare, *(f"{name}/{n}.png" for name in ("cat", "dog") for n in range(30))]
    root = make_folder({name: make_image(seed=seed) for seed, name in enumerate(names)})
    assert ingest(folder(root)).description["notes"] == [
        "the train split has no labelled image of rare (1 of 3 classes); add images"
    ]


def test_records_the_spans_that_it_took(make_image, make_folder, ingest, caplog) -> None:
    names = [
        f"{span}/{name}/{index}.png" for span in ("6/1", "8/1", "8/2") for name in "ab" for index in range(30)
    ]
    root = make_folder({name: make_image(seed=seed) for seed, name in enumerate(names)})
    caplog.set_level("INFO")
    data = ImageFolderData(
        source="image_folder", path=f"{root}/{{SPAN}}/{{VERSION}}", window=3, on_missing_span="skip"
    )
    ingested = ingest(data)
    assert ingested.description["spans"] == [{"span": "6", "version": 1}, {"span": "8", "version": 2}]
    assert ingested.description["notes"] == ["span 7 is missing, and is left out"]
    assert [record.told for record in caplog.records if hasattr(record, "told")] == [
        "notes: span 7 is missing, and is left out",
        "notes: the spans are 6 (version 1), 8 (version 2)",
    ]
    examples = [example for split in ("train", "validation", "test") for example in ingested.examples(split)]
    images = {example["id"].decode(): example["image"] for example in examples}
    assert len(images) == 120
    assert images["8/a/0.png"] == (root / "8/2/a/0.png").read_bytes()


def test_stops_when_too_much_is_corrupt(pets: pathlib.Path, ingest, tmp_path: pathlib.Path) -> None:
    for index in range(7):
        (pets / f"train/cat/bad{index}.jpg").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        ingest(folder(pets, max_corrupt_fraction=0.35))
    message = str(caught.value)
    assert message.startswith("7 of the data set's 18 images (38.9%) cannot be used")
    assert "data.max_corrupt_fraction allows (35.0%)" in message
    assert message.count("(the file is empty)") == 5
    assert "and 2 more" in message
    assert not (tmp_path / "examples/dataset.json").exists()


def test_stops_when_a_split_has_no_image_left(pets: pathlib.Path, ingest) -> None:
    for name in ("cat", "dog"):
        (pets / f"test/{name}/0.png").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"The test split has no examples: test/\w+/0.png \(the file is empty\)"
    ):
        ingest(folder(pets, max_corrupt_fraction=0.5))


def test_drops_the_labels_of_all_but_the_test_split(pets: pathlib.Path, ingest) -> None:
    ingested = ingest(folder(pets, labels=False))

    assert ingested.description["class_names"] == ["cat", "dog"]
    labels = {
        split: {example["id"]: example["label"] for example in ingested.examples(split)}
        for split in ("train", "validation", "test")
    }
    assert (len(labels["train"]), set(labels["train"].values())) == (7, {-1})
    assert labels["validation"] == {b"validation/cat/0.png": -1, b"validation/dog/0.png": -1}
    assert labels["test"] == {b"test/cat/0.png": 0, b"test/dog/0.png": 1}


def test_without_labels_all_else_stays_as_it_is(ingest) -> None:
    bare = ingest(DigitsData(source="digits", labels=False), name="bare")
    labelled = ingest(DigitsData(source="digits"), name="labelled")

    for split in ("train", "validation"):
        expected = [example | {"label": -1} for example in labelled.examples(split)]
        assert list(bare.examples(split)) == expected
    assert list(bare.examples("test")) == list(labelled.examples("test"))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_data_set_that_lacks_labels_is_refused_with_the_way_out(split: str) -> None:
    outcomes = [
        Outcome(name, f"{name}.gz", examples=3, labels=[-1] if name == split else [0, 1])
        for name in ("train", "validation", "test")
    ]
    way_out = "choose examples that have one" if split == "test" else "set data.labels: false"
    with pytest.raises(InputError, match=rf"^The {split} split has examples without a label .*{way_out}"):
        dataset.check(outcomes, splits=("train", "validation", "test"), max_corrupt_fraction=0)


def test_stops_when_one_class_is_left(pets: pathlib.Path, ingest) -> None:
    for index in range(3):
        (pets / f"train/dog/{index}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="All examples of the train split are of one class"):
        ingest(folder(pets, max_corrupt_fraction=0.5))


def test_checks_the_source_first(tmp_path: pathlib.Path, ingest) -> None:
    with pytest.raises(InputError, match="does not exist"):
        ingest(folder(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "beam_args",
    [
        pytest.param((), id="one process"),
        pytest.param(MULTI_PROCESSING, id="several", marks=pytest.mark.long),
    ],
)
def test_gives_the_same_bytes_again(ingest, beam_args: Sequence[str]) -> None:
    digits = DigitsData(source="digits")
    first = ingest(digits, name="first")
    assert content(ingest(digits, name="second", beam_args=beam_args)) == content(first)
    assert sum(part["examples"] for part in first.description["splits"].values()) == 1797


def test_ingests_a_slice_of_mnist(tfds_data: pathlib.Path, ingest) -> None:
    splits = Splits(train="train[:1200]", validation="train[1200:1300]", test="test[:1%]")
    ingested = ingest(TfdsData(source="tfds", dataset="mnist", data_dir=str(tfds_data), splits=splits))
    counts = {split: part["examples"] for split, part in ingested.description["splits"].items()}
    assert counts == {"train": 1200, "validation": 100, "test": 100}
    assert len(ingested.shards("train")) == 2
    examples = list(ingested.examples("train"))
    assert len({example["id"] for example in examples}) == 1200
    assert {(example["height"], example["width"]) for example in examples} == {(28, 28)}
    assert {example["label"] for example in examples} == set(range(10))
