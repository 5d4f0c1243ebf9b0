"""ExampleGen on data with reference images."""

import pathlib
from typing import Any

import pytest

from components.errors import InputError
from components.example_gen.registry import open_source
from components.example_gen.sources.digits import DigitsData
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.sources.image_list import ImageListData

SPLITS = ("train", "validation", "test")


@pytest.fixture
def reference(make_image, tmp_path: pathlib.Path) -> pathlib.Path:
    """Three images of dogs, one of them deeper, and none of cats."""
    for name in ("0.png", "1.png", "deep/2.png"):
        path = tmp_path / "reference/dog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_image(height=30 + len(name)))
    (tmp_path / "reference/dog/1.png").write_bytes(make_image(height=50))
    return tmp_path / "reference"


def folder(path: pathlib.Path, **settings: Any) -> ImageFolderData:
    return ImageFolderData(source="image_folder", path=str(path), **settings)


def test_they_become_a_split_and_change_no_other(pets: pathlib.Path, reference: pathlib.Path, ingest) -> None:
    (reference / "dog/cut.png").write_bytes(b"")
    without = ingest(folder(pets), name="without")
    beside = ingest(folder(pets, reference=str(reference), max_corrupt_fraction=0.25), name="beside")

    for split in SPLITS:
        bytes_of = [[path.read_bytes() for path in each.shards(split)] for each in (without, beside)]
        assert bytes_of[0] == bytes_of[1]
    assert beside.artifact.split_names == '["train", "validation", "test", "reference"]'
    assert beside.description["splits"]["reference"] == {
        "examples": 3,
        "skipped": [{"id": "reference://dog/cut.png", "reason": "the file is empty"}],
    }
    examples = {example["id"].decode(): example for example in beside.examples("reference")}
    assert examples["reference://dog/deep/2.png"] == {
        "id": b"reference://dog/deep/2.png",
        "image": (reference / "dog/deep/2.png").read_bytes(),
        "label": 1,  # Of cat and dog, though there is no folder of cats.
        "height": 40,
        "width": 7,
    }


def test_they_may_lie_among_the_class_folders(make_image, make_folder, ingest) -> None:
    names = [f"{name}/{index}.png" for name in ("cat", "dog") for index in range(30)]
    names += ["reference/cat/0.png"]
    root = make_folder({name: make_image(seed=seed) for seed, name in enumerate(names)})
    ingested = ingest(folder(root, reference=str(root / "reference")))
    counts = {split: part["examples"] for split, part in ingested.description["splits"].items()}
    assert ingested.description["class_names"] == ["cat", "dog"]
    assert counts["reference"] == 1
    assert sum(counts[split] for split in SPLITS) == 60


def test_one_that_is_trained_on_is_refused_and_one_in_the_test_split_is_not(
    pets: pathlib.Path, reference: pathlib.Path, make_image, ingest
) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        (pets / split / "cat/0.png").write_bytes(make_image(seed=100 + number))
    (reference / "dog/0.png").write_bytes((pets / "test/cat/0.png").read_bytes())
    ingest(folder(pets, reference=str(reference)), name="fine")

    for split in ("train", "validation"):
        (reference / "dog/1.png").write_bytes((pets / split / "cat/0.png").read_bytes())
        with pytest.raises(InputError) as caught:
            ingest(folder(pets, reference=str(reference)), name=f"refused {split}")
        assert str(caught.value) == (
            "data.reference: models are trained on, or chosen by, 1 of its images too: dog/1.png (is "
            f"{split}/cat/0.png); remove them from one of the two."
        )


def test_one_without_a_label_among_those_that_students_learn_from_is_refused(
    pets: pathlib.Path, reference: pathlib.Path, ingest, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "unlabelled").mkdir()
    (tmp_path / "unlabelled/some.png").write_bytes((reference / "dog/0.png").read_bytes())
    with pytest.raises(InputError, match=r"dog/0.png \(is unlabelled://some.png\); remove"):
        ingest(folder(pets, reference=str(reference), unlabelled=str(tmp_path / "unlabelled")))


def test_they_hide_no_broken_images_of_the_data_nor_their_own(
    pets: pathlib.Path, reference: pathlib.Path, make_image, ingest
) -> None:
    for index in range(40):
        (reference / f"dog/more{index}.png").write_bytes(make_image(seed=1000 + index))
    # Two of 13 images of the data, though of all 56 they are few.
    for index in range(2):
        (pets / f"train/cat/cut{index}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"^2 of the data set's 13 images \(15\.4%\) cannot be used"):
        ingest(folder(pets, reference=str(reference)), name="data")

    for index in range(2):
        (pets / f"train/cat/cut{index}.png").unlink()
    for index in range(5):
        (reference / f"dog/cut{index}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"^5 of the reference folder's 48 images \(10\.4%\) cannot be used"):
        ingest(folder(pets, reference=str(reference)), name="reference images")


def test_a_class_that_the_data_has_not_is_refused(
    pets: pathlib.Path, reference: pathlib.Path, ingest
) -> None:
    (reference / "dog").rename(reference / "dogs")
    message = r"holds the folder 'dogs', which is no class of the data; .* remove it; did you mean 'dog'\?$"
    with pytest.raises(InputError, match=message):
        ingest(folder(pets, reference=str(reference)))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "does not exist; give a folder of class folders."),
        ("file", "is a file; give a folder of class folders."),
        ("empty", "holds no .jpg, .jpeg or .png file in a class folder; add images, or leave it out."),
    ],
)
def test_a_folder_without_images_is_refused_at_once(name: str, problem: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty/dog").mkdir(parents=True)
    (tmp_path / "empty/loose.png").write_bytes(b"not in a class folder")
    (tmp_path / "file").write_text("text", encoding="utf-8")
    path = str(tmp_path / name)
    with pytest.raises(InputError) as caught:
        open_source(DigitsData(source="digits", reference=path)).check()
    assert str(caught.value) == f"data.reference: got {path!r}, which {problem}"


def test_what_is_in_the_folder_is_part_of_the_fingerprint(
    pets: pathlib.Path, reference: pathlib.Path
) -> None:
    source = folder(pets, reference=str(reference))
    before = open_source(source).fingerprint()
    assert before == open_source(source).fingerprint()
    assert before != open_source(folder(pets)).fingerprint()
    (reference / "dog/0.png").unlink()
    assert before != open_source(source).fingerprint()


def test_they_have_a_weight_where_the_data_has_one(
    make_image, make_folder, reference: pathlib.Path, ingest
) -> None:
    root = make_folder({f"{index}.png": make_image(seed=index) for index in range(40)})
    rows = [f"{index}.png,{('cat', 'dog')[index % 2]},0.5" for index in range(40)]
    (root / "list.csv").write_text("\n".join(["path,label,weight", *rows]), encoding="utf-8")
    data = ImageListData(
        source="image_list",
        path=str(root / "list.csv"),
        sample_weight="weight",
        reference=str(reference),
    )
    assert [example["weight"] for example in ingest(data).examples("reference")] == [1.0] * 3


def test_those_of_a_class_that_a_window_of_spans_lacks_are_left_out_until_it_comes_again(
    make_image, make_folder, reference: pathlib.Path, ingest
) -> None:
    (reference / "moose").mkdir()
    (reference / "moose/0.png").write_bytes(make_image(seed=77))
    names = [f"{span}/{name}/{index}.png" for span in "12" for name in ("cat", "dog") for index in range(30)]
    root = make_folder({name: make_image(seed=seed + 100) for seed, name in enumerate(names)})
    spans = pathlib.Path(f"{root}/{{SPAN}}")
    ingested = ingest(folder(spans, window=2, reference=str(reference)))
    assert ingested.description["notes"] == ["the reference images of moose are left out: the data has none"]
    assert ingested.description["splits"]["reference"] == {
        "examples": 3,
        "skipped": [{"id": "reference://moose/0.png", "reason": "of no class of the data"}],
    }
