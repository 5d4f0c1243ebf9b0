"""ExampleGen on data with images without labels beside the labelled ones."""

import dataclasses
import pathlib
from typing import Any

import pytest

from components.errors import InputError
from components.example_gen.sources.digits import DigitsData, DigitsSource
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.sources.tfds import Splits, TfdsData

SPLITS = ("train", "validation", "test")


def counts(ingested: Any) -> dict[str, int]:
    return {split: part["examples"] for split, part in ingested.description["splits"].items()}


def written(ingested: Any, *splits: str) -> dict[str, bytes]:
    return {f"{split}/{path.name}": path.read_bytes() for split in splits for path in ingested.shards(split)}


@pytest.fixture
def unlabelled(make_image, tmp_path: pathlib.Path) -> pathlib.Path:
    """Five images, some of them in a folder in the folder."""
    for index in range(5):
        path = tmp_path / "unlabelled" / ("deep" if index % 2 else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_image(height=20 + index))
    return tmp_path / "unlabelled"


def test_a_folder_becomes_a_split_and_changes_no_other(
    pets: pathlib.Path, unlabelled: pathlib.Path, ingest
) -> None:
    (unlabelled / "cut.png").write_bytes(b"")
    settings = {"source": "image_folder", "path": str(pets)}
    without = ingest(ImageFolderData(**settings), name="without")
    beside = ingest(ImageFolderData(**settings, unlabelled=str(unlabelled)), name="beside")

    assert written(beside, *SPLITS) == written(without, *SPLITS)
    assert counts(beside) == {"train": 7, "validation": 2, "test": 2, "unlabelled": 5}
    examples = {example["id"].decode(): example for example in beside.examples("unlabelled")}
    assert examples["unlabelled://deep/3.png"] == {
        "id": b"unlabelled://deep/3.png",
        "image": (unlabelled / "deep/3.png").read_bytes(),
        "label": -1,
        "height": 23,
        "width": 7,
    }
    assert beside.description["splits"]["unlabelled"]["skipped"] == [
        {"id": "unlabelled://cut.png", "reason": "the file is empty"}
    ]
    assert beside.artifact.split_names == '["train", "validation", "test", "unlabelled"]'


def test_a_folder_may_lie_beside_the_split_folders(
    pets: pathlib.Path, unlabelled: pathlib.Path, ingest
) -> None:
    inside = pets / "unlabelled"
    unlabelled.rename(inside)

    ingested = ingest(ImageFolderData(source="image_folder", path=str(pets), unlabelled=str(inside)))

    assert counts(ingested)["unlabelled"] == 5
    assert all(not part["skipped"] for part in ingested.description["splits"].values())


def test_images_that_are_held_out_are_refused(pets: pathlib.Path, unlabelled: pathlib.Path, ingest) -> None:
    copies = {"a.png": "train/cat/1.png", "deep/b.png": "test/dog/0.png", "c.png": "validation/cat/0.png"}
    for name, original in copies.items():
        (unlabelled / name).write_bytes((pets / original).read_bytes())
    data = ImageFolderData(source="image_folder", path=str(pets), unlabelled=str(unlabelled))

    with pytest.raises(InputError) as caught:
        ingest(data)

    # All images of `pets` with the same number are the same, cat or dog, in any split.
    message = str(caught.value)
    assert message.startswith("data.unlabelled: the validation or the test split holds 2 of its images too: ")
    assert message.endswith("; remove them from data.unlabelled.")
    assert "c.png (is " in message
    assert "deep/b.png (is " in message
    assert "a.png" not in message.replace("c.png", "")


def test_many_images_that_are_held_out_are_counted_and_the_first_named(
    pets: pathlib.Path, unlabelled: pathlib.Path, ingest
) -> None:
    for index in range(8):
        (unlabelled / f"copy {index}.png").write_bytes((pets / "test/dog/0.png").read_bytes())
    with pytest.raises(InputError) as caught:
        ingest(ImageFolderData(source="image_folder", path=str(pets), unlabelled=str(unlabelled)))
    message = str(caught.value)
    assert "holds 8 of its images too" in message
    assert "copy 4.png" in message
    assert "copy 5.png" not in message
    assert " and 3 more;" in message


def test_a_fraction_of_the_labels_is_used_and_the_other_images_are_a_split(ingest) -> None:
    whole = ingest(DigitsData(source="digits"), name="whole")
    part = ingest(DigitsData(source="digits", labelled_fraction=0.1), name="part")
    more = ingest(DigitsData(source="digits", labelled_fraction=0.3), name="more")

    train = {example["id"]: example for example in whole.examples("train")}
    labelled = {example["id"]: example for example in part.examples("train")}
    unlabelled = {example["id"]: example for example in part.examples("unlabelled")}
    assert written(part, "validation", "test") == written(whole, "validation", "test")
    assert 0.07 < len(labelled) / len(train) < 0.13
    assert labelled == {name: train[name] for name in labelled}
    assert unlabelled == {
        name: example | {"label": -1} for name, example in train.items() if name not in labelled
    }
    assert set(labelled) < {example["id"] for example in more.examples("train")}


def test_nothing_depends_on_the_labels_that_are_not_used(ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DigitsData(source="digits", labelled_fraction=0.1)
    first = ingest(data, name="first")
    kept = {example["id"].decode() for example in first.examples("train")}
    read = DigitsSource.read

    def read_others(source: DigitsSource, shard: Any) -> Any:
        for record in read(source, shard):
            in_train = record.id in trained
            yield dataclasses.replace(record, label=0) if in_train and record.id not in kept else record

    trained = kept | {example["id"].decode() for example in first.examples("unlabelled")}
    monkeypatch.setattr(DigitsSource, "read", read_others)
    second = ingest(data, name="second")

    assert written(second, *SPLITS, "unlabelled") == written(first, *SPLITS, "unlabelled")


def test_a_fraction_and_a_folder_go_together(unlabelled: pathlib.Path, ingest) -> None:
    ingested = ingest(DigitsData(source="digits", labelled_fraction=0.5, unlabelled=str(unlabelled)))

    found = counts(ingested)
    assert found["train"] + found["unlabelled"] == 1797 - found["validation"] - found["test"] + 5
    assert {example["label"] for example in ingested.examples("unlabelled")} == {-1}


def test_too_small_a_fraction_is_refused_with_the_way_out(pets: pathlib.Path, ingest) -> None:
    data = ImageFolderData(source="image_folder", path=str(pets), labelled_fraction=1e-9)
    with pytest.raises(
        InputError, match=r"The train split has no examples; add images, or raise data.labelled_fraction\.$"
    ):
        ingest(data)


def test_classes_of_which_a_fraction_leaves_no_label_are_named_with_the_way_out(ingest) -> None:
    ingested = ingest(DigitsData(source="digits", labelled_fraction=0.01))

    labelled = {example["label"] for example in ingested.examples("train")}
    absent = [str(label) for label in range(10) if label not in labelled]
    assert 0 < len(absent) <= 5
    assert ingested.description["notes"] == [
        f"the train split has no labelled image of {', '.join(absent)} ({len(absent)} of 10 classes); add "
        "images, or raise data.labelled_fraction"
    ]


def test_images_of_a_folder_have_the_weight_1_among_weighted_ones(
    tfds_data: pathlib.Path, unlabelled: pathlib.Path
) -> None:
    """As TFDS's MNIST has no weights, the source is only asked for the folder."""
    from components.example_gen.registry import open_source

    data = TfdsData(
        source="tfds",
        dataset="mnist",
        data_dir=str(tfds_data),
        splits=Splits(train="train[:100]", validation="train[100:200]", test="test[:100]"),
        sample_weight="weight",
        unlabelled=str(unlabelled),
    )
    source = open_source(data)
    records = [record for shard in source.shards("unlabelled") for record in source.read(shard)]
    assert [record.weight for record in records] == [1.0] * 5


def test_a_fraction_of_a_slice_of_mnist(tfds_data: pathlib.Path, ingest) -> None:
    splits = Splits(train="train[:1000]", validation="train[1000:1100]", test="test[:100]")
    data = TfdsData(
        source="tfds", dataset="mnist", data_dir=str(tfds_data), splits=splits, labelled_fraction=0.2
    )
    ingested = ingest(data)
    found = counts(ingested)
    assert found["train"] + found["unlabelled"] == 1000
    assert 150 < found["train"] < 250
    labelled, others = (
        {example["id"] for example in ingested.examples(split)} for split in ("train", "unlabelled")
    )
    assert not labelled & others
