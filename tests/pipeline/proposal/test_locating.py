import json
import os
import pathlib

import pytest

from components.errors import InputError
from pipeline.proposal.locating import locate


def prepare(data_dir: pathlib.Path, name: str, **counts: int) -> pathlib.Path:
    """Writes the description of a data set as TFDS does."""
    folder = data_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    splits = [{"name": split, "shardLengths": [str(count)]} for split, count in counts.items()]
    (folder / "dataset_info.json").write_text(json.dumps({"splits": splits}))
    return data_dir / name


def test_a_folder_is_one_of_images(tmp_path: pathlib.Path) -> None:
    assert locate(str(tmp_path)) == {"source": "image_folder", "path": str(tmp_path)}
    for path in ("photos/{YYYY}-{MM}-{DD}", "photos/{SPAN}"):
        assert locate(path) == {"source": "image_folder", "path": path}


def test_a_list_is_one_of_images(tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("pets.CSV").write_text("path,label\n1.jpg,cat\n")
    assert locate("pets.CSV") == {"source": "image_list", "path": "pets.CSV"}
    pathlib.Path("images").mkdir()
    pathlib.Path("images/1.jpg").touch()
    assert locate("pets.CSV") == {"source": "image_list", "path": "pets.CSV", "root": "images"}
    pathlib.Path("1.jpg").touch()
    assert locate("pets.CSV") == {"source": "image_list", "path": "pets.CSV"}
    pathlib.Path("photos/val").mkdir(parents=True)
    pathlib.Path("photos/val/metadata.csv").touch()
    assert locate("photos") == {"source": "image_list", "path": "photos"}
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            pathlib.Path("photos", split, name).mkdir(parents=True)
            for index in range(40):
                pathlib.Path("photos", split, name, f"{index}.jpg").touch()
    assert locate("photos") == {"source": "image_folder", "path": "photos"}


@pytest.mark.timeout(60)
def test_a_list_that_is_a_named_pipe_is_refused(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pets.csv")
    with pytest.raises(InputError, match=r"pets.csv is a named pipe; save the list to a file\.$"):
        locate(str(tmp_path / "pets.csv"))


@pytest.mark.parametrize(
    ("lists", "folders", "found"),
    [
        (("train.csv", "test.csv"), ("train", "test"), "train.csv"),
        (("train.csv", "sample_submission.csv"), ("train_images", "test_images"), "train.csv"),
        (("labels.csv", "prices.csv"), ("images",), "labels.csv"),
        (("prices.csv",), ("images",), None),
        (("labels.csv", "more.csv"), ("images",), None),
        (("labels.csv",), ("bus", "train"), None),
        (("train.csv",), ("train/cat", "train/dog", "test"), None),
    ],
)
def test_the_list_beside_folders_of_images_is_found(
    tmp_path: pathlib.Path, monkeypatch, lists, folders, found: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        pathlib.Path("photos", folder).mkdir(parents=True)
        for number in range(40):
            pathlib.Path("photos", folder, f"{number}.jpg").touch()
    rows = "".join(f"{number}.jpg,{'cat' if number % 2 else 'dog'}\n" for number in range(40))
    for name in lists:
        header = "path,label\n" if name not in ("test.csv", "prices.csv") else "path,price\n"
        pathlib.Path("photos", name).write_text(header + rows)
    expected = {"source": "image_folder", "path": "photos"}
    if found:
        expected = {"source": "image_list", "path": f"photos/{found}", "root": f"photos/{folders[0]}"}
    assert locate("photos") == expected


def test_lists_for_several_splits_beside_the_images_are_refused(tmp_path: pathlib.Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for number in range(40):
            (tmp_path / split / f"{number}.jpg").touch()
        rows = "".join(f"{split}/{number}.jpg,{number % 2}\n" for number in range(40))
        (tmp_path / f"{split}.csv").write_text("path,label\n" + rows)

    with pytest.raises(InputError, match=r"train\.csv and val\.csv; join them into one, with a column split"):
        locate(str(tmp_path))


def test_metadata_beside_folders_that_are_no_classes_is_the_list(tmp_path: pathlib.Path) -> None:
    for folder, suffix in (("images", "jpg"), ("annotations", "xml")):
        (tmp_path / folder).mkdir()
        for number in range(40):
            (tmp_path / folder / f"{number}.{suffix}").touch()
    (tmp_path / "metadata.csv").touch()

    assert locate(str(tmp_path)) == {"source": "image_list", "path": str(tmp_path)}


def test_a_list_may_be_at_a_url(served: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "pets.csv").write_text("path,label\n1.jpg,cat\n")
    for path in (f"{served}/pets.csv", f"{served}/pets.csv?version=2"):
        assert locate(path) == {"source": "image_list", "path": path}
    with pytest.raises(InputError, match=r"none.csv cannot be read \("):
        locate(f"{served}/none.csv")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train": 9}, ("train[:80%]", "train[80%:90%]", "train[90%:]")),
        ({"train": 9, "test": 9}, ("train[:90%]", "train[90%:]", "test")),
        ({"train": 9, "validation": 9}, ("train[:90%]", "train[90%:]", "validation")),
        ({"train": 9, "val": 9, "test": 9, "extra": 9}, ("train", "val", "test")),
    ],
)
def test_prepared_data_is_split_by_the_names_of_its_splits(tmp_path, monkeypatch, counts, expected) -> None:
    folder = prepare(tmp_path, "flowers", **counts)
    splits = dict(zip(("train", "validation", "test"), expected, strict=True))
    data = {"source": "tfds", "dataset": "flowers", "data_dir": str(tmp_path), "splits": splits}
    assert locate(str(folder)) == data
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path.parent)
    del data["data_dir"]
    assert locate("flowers") == data


def test_data_without_a_training_split_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="flowers has no split to train on; it has corrupted"):
        locate(str(prepare(tmp_path, "flowers", corrupted=9)))


def test_what_is_not_there_is_refused_with_the_nearest_name(tmp_path: pathlib.Path, monkeypatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("notes.txt", "cifar10.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for path, message in (
        ("phottos", r"^phottos does not exist; did you mean 'photos'\?$"),
        ("/no/such/place", "^/no/such/place does not exist; give a folder of images$"),
        ("notes.txt", "^notes.txt is neither a folder nor a list"),
        ("", "^PATH is empty; give a folder of images, a .csv, .tsv, .parquet file, or the name of a data"),
        ("cifar10", r"^cifar10 is not prepared in .*fetch it with: tfds build cifar10$"),
        ("cifar10.yml", r"^cifar10.yml does not exist; did you mean 'cifar10.yaml'\?$"),
        ("mnist", r"^mnist is not prepared in .*fetch it with: tfds build mnist$"),
        ("minst", r"nor a data set of TensorFlow Datasets; did you mean 'mnist'\?$"),
    ):
        with pytest.raises(InputError, match=message):
            locate(path)
