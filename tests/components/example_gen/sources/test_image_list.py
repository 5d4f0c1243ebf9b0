import os
import pathlib
import pickle

import pyarrow as pa
import pyarrow.parquet
import pytest

from components.errors import InputError
from components.example_gen import splitting
from components.example_gen.source import Record, Skipped
from components.example_gen.sources.image_list import ImageListData, ImageListSource

SPLITS = ("train", "validation", "test")
CSV = "path,label,split\n" + "".join(
    f"{split}{index}.png,{name},{split}\n"
    for split in ("train", "val", "test")
    for index, name in enumerate(("cat", "dog"))
)


def open_list(path: object, **settings) -> ImageListSource:
    return ImageListData(source="image_list", path=str(path), **settings).make_source()


def read(source: ImageListSource, split: str) -> list[Record | Skipped]:
    return [item for shard in source.shards(split) for item in pickle.loads(pickle.dumps(source)).read(shard)]


def members(source: ImageListSource) -> dict[str, set[str]]:
    return {split: {item.id for item in read(source, split)} for split in SPLITS}


@pytest.fixture
def pets(make_folder, make_image) -> pathlib.Path:
    """A list beside its six images, two of them in each split."""
    names = [f"{split}{index}.png" for split in ("train", "val", "test") for index in range(2)]
    images = {name: make_image(seed=seed) for seed, name in enumerate(names)}
    return make_folder(images | {"pets.csv": CSV.encode()}) / "pets.csv"


def check_pets(source: ImageListSource, folder: pathlib.Path) -> None:
    source.check()
    assert (source.class_names, source.notes()) == (("cat", "dog"), [])
    found = {item.id: item for split in SPLITS for item in read(source, split)}
    assert sorted(found) == sorted(path.name for path in folder.glob("*.png"))
    assert {item.id: item.label for item in read(source, "validation")} == {"val0.png": 0, "val1.png": 1}
    assert all(item.image == (folder / name).read_bytes() for name, item in found.items())


def test_reads_a_csv_file(pets: pathlib.Path) -> None:
    check_pets(open_list(pets), pets.parent)
    check_pets(open_list(f"file://{pets}"), pets.parent)


def test_reads_a_tsv_file_with_a_byte_order_mark_and_columns_of_any_name(pets: pathlib.Path) -> None:
    table = pets.with_suffix(".tsv")
    text = CSV.replace(",", "\t").replace("path\tlabel\tsplit", "photo\tanimal\tpart")
    table.write_text(f"\N{ZERO WIDTH NO-BREAK SPACE}{text}", encoding="utf-8")
    names = {"path_column": "photo", "label_column": "animal", "split_column": "part"}
    check_pets(open_list(table, **names), pets.parent)


@pytest.mark.parametrize("name", ["id", "image_id"])
def test_ids_that_name_files_are_paths(pets: pathlib.Path, name: str) -> None:
    pets.write_text(CSV.replace("path", name))
    check_pets(open_list(pets), pets.parent)
    for image in pets.parent.glob("*.png"):
        image.rename(image.with_suffix(""))
    pets.write_text(CSV.replace("path", name).replace(".png", ""))
    open_list(pets).check()


def test_reads_a_parquet_file_somewhere_else(pets: pathlib.Path, tmp_path: pathlib.Path) -> None:
    header, *rows = (line.split(",") for line in CSV.split())
    table = pa.table({name.upper(): [row[index] for row in rows] for index, name in enumerate(header)})
    pyarrow.parquet.write_table(table, tmp_path / "pets.parquet")
    check_pets(open_list(tmp_path / "pets.parquet", root=str(pets.parent)), pets.parent)


def test_reads_a_list_and_its_images_at_a_url(served: str, pets: pathlib.Path) -> None:
    source = open_list(f"{served}/{pets.parent.name}/pets.csv")
    check_pets(source, pets.parent)
    before = source.fingerprint()
    pets.write_text(CSV + "train9.png,cat,train\n", encoding="utf-8")
    source = open_list(f"{served}/{pets.parent.name}/pets.csv")
    assert source.fingerprint() != before
    (skipped,) = (item for item in read(source, "train") if isinstance(item, Skipped))
    assert (skipped.id, skipped.corrupt) == ("train9.png", True)
    assert skipped.reason.startswith("cannot be read: ")
    with pytest.raises(InputError, match=r"none.csv cannot be read \("):
        open_list(f"{served}/none.csv").check()


def test_splits_that_the_list_does_not_name_are_held_out_for_good(make_folder) -> None:
    names = [f"{index}.png" for index in range(200)]
    rows = "".join(f"{name},{index % 3}\n" for index, name in enumerate(names))
    path = make_folder({"all.csv": f"file_name,target\n{rows}".encode()}) / "all.csv"
    source = open_list(path)
    source.check()
    before = members(source)
    assert before["train"] == {name for name in names if splitting.position(name) < 0.8}
    assert before["test"] == {name for name in names if splitting.position(name) >= 0.9}
    assert (source.class_names, source.notes()) == (("0", "1", "2"), [])
    path.write_text(f"file_name,target\n{rows}" + "".join(f"more/{name},1\n" for name in names))
    after = members(open_list(path))
    assert all(before[split] < after[split] for split in SPLITS)


def test_a_list_that_names_validation_alone_is_tested_on_it(make_folder) -> None:
    rows = "".join(f"{index}.png,{index % 2},{'dev' if index < 9 else 'train'}\n" for index in range(99))
    source = open_list(make_folder({"all.csv": f"path,label,split\n{rows}".encode()}) / "all.csv")
    source.check()
    assert members(source)["test"] == {f"{index}.png" for index in range(9)}
    assert source.notes() == [
        "held out of train by a hash of each path: validation (11% of it)",
        "what the list calls validation is the test split, which is only measured on",
    ]


def test_split_folders_may_each_have_a_list(make_folder, make_image) -> None:
    files = {f"{split}/{index}.png": make_image() for split in ("train", "Valid", "test") for index in (0, 1)}
    lists = {
        f"{split}/metadata.csv": b"file_name,label\n0.png,ant\n1.png,bee\n" for split in ("train", "Valid")
    }
    root = make_folder(files | lists | {"test/metadata.csv": b"file_name,label\n0.png,ant\n1.png,bee\n"})
    source = open_list(root)
    source.check()
    assert members(source) == {
        "train": {"train/0.png", "train/1.png"},
        "validation": {"Valid/0.png", "Valid/1.png"},
        "test": {"test/0.png", "test/1.png"},
    }
    assert all(isinstance(item, Record) for split in SPLITS for item in read(source, split))


def test_a_column_of_splits_may_not_contradict_the_split_folder(make_folder) -> None:
    def open_lists(*, third: str) -> ImageListSource:
        rows = f"0.png,ant,train\n1.png,bee,Training\n2.png,bee,{third}\n"
        test = "path,label\n0.png,ant\n1.png,bee\n"
        lists = {
            "train/metadata.csv": f"path,label,split\n{rows}",
            **{f"{split}/metadata.csv": test for split in ("val", "test")},
        }
        return open_list(make_folder({name: text.encode() for name, text in lists.items()}))

    for third in ("train", ""):
        source = open_lists(third=third)
        source.check()
        assert members(source)["train"] == {"train/0.png", "train/1.png", "train/2.png"}
    with pytest.raises(
        InputError,
        match=r"data.split_column: '2.png' is in the split 'test', but its list lies in the split folder "
        r"'train'; correct the column, or remove it\.$",
    ):
        open_lists(third="test").check()


def test_numbers_are_sorted_by_value(make_folder) -> None:
    rows = "".join(f"{index}.png,{index % 12}\n" for index in range(300))
    source = open_list(make_folder({"all.csv": f"path,label\n{rows}".encode()}) / "all.csv")
    assert source.class_names == tuple(map(str, range(12)))


@pytest.mark.timeout(60)
def test_what_is_no_file_is_left_out_by_name(pets: pathlib.Path) -> None:
    for name in ("train0.png", "train1.png"):
        (pets.parent / name).unlink()
    os.mkfifo(pets.parent / "train0.png")
    assert set(read(open_list(pets), "train")) == {
        Skipped("train0.png", "a named pipe"),
        Skipped("train1.png", "cannot be read: No such file or directory", corrupt=True),
    }


def test_a_path_that_no_file_can_have_is_left_out_by_name(pets: pathlib.Path) -> None:
    pets.write_text(CSV.replace("train1.png", "train\0.png"))
    source = open_list(pets)
    source.check()
    assert source.fingerprint()
    assert Skipped("train\0.png", "cannot be read: embedded null byte", corrupt=True) in read(source, "train")


def test_weights_are_read(pets: pathlib.Path) -> None:
    header, *rows = CSV.split()
    pets.write_text("\n".join([f"{header},w", *(f"{row},{i / 2}" for i, row in enumerate(rows))]))
    weights = {item.id: item.weight for item in read(open_list(pets, sample_weight="w"), "validation")}
    assert weights == {"val0.png": 1.0, "val1.png": 1.5}
    pets.write_text("\n".join([f"{header},w", *(f"{row},-1" for row in rows)]))
    with pytest.raises(InputError, match=r"data.sample_weight: 'train0.png' has the weight '-1'"):
        open_list(pets, sample_weight="w").check()


def test_without_labels_only_those_of_the_test_split_are_needed(pets: pathlib.Path) -> None:
    pets.write_text(CSV.replace("cat,train", ",train").replace("dog,val", ",val"))
    source = open_list(pets, labels=False)
    source.check()
    assert {item.label for item in read(source, "test")} == {0, 1}
    with pytest.raises(InputError, match=r"1 images of the train split have no label, 'train0.png' among"):
        open_list(pets).check()


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "which is empty; expected a line with the names of the columns"),
        (
            "path;label\n1.png;a\n",
            {},
            r"name one of path;label; separate columns by commas, not semicolons\.$",
        ),
        (
            CSV.replace("val0.png,", 'val0.png,"'),
            {},
            r"is damaged near its line \d+ \(unexpected end of data\)",
        ),
        ("number,breed\n1,pug\n", {}, r"data.path_column: no column .*; name one of number, breed\.$"),
        ("id,label\n17,pug\n", {}, r"'17', which names no file; write the suffix too, as in 17.jpg, or name"),
        ("path,kind\n1.png,pug\n", {"label_column": "kinds"}, r"data.label_column: .*did you mean 'kind'\?$"),
        ("path,kind\n1.png,pug\n", {}, r"data.label_column: no column .*; name one of path, kind\.$"),
        (CSV + "val1.png,cat,train\n", {}, "names 'val1.png' 2 times; keep one row"),
        (CSV + "./val1.png,cat,train\n", {}, "val1.png' 2 times; keep one row"),
        (CSV.replace("dog", "cat"), {}, "names only the class 'cat'"),
        (CSV.replace("cat,val", "cat,other"), {}, "data.split_column: 'val0.png' is in the split 'other'"),
        (CSV.replace("train\n", "val\n"), {}, "has no image of the train split"),
        (
            "path,label,x,x,label\n1.png,a,,,b\n",
            {},
            r"data.label_column: .*pets.csv' has 2 columns called 'label'; rename or remove all",
        ),
        (
            CSV.replace("cat", "0.731").replace("dog", "2"),
            {},
            r"data.label_column: the labels in .* are numbers such as '0.731', which are no classes; name a",
        ),
        ("path,label\n1.png,a\n2.png,b\n", {}, r"data.split_fractions.\w+: got .* none of the 2 images"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(pets: pathlib.Path, text: str, settings, message: str) -> None:
    pets.write_text(text)
    with pytest.raises(InputError, match=message):
        open_list(pets, **settings).check()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.csv", r"got 'nowhere.csv'; nowhere.csv cannot be read \(No such file or directory\)\.$"),
        ("pets.xlsx", r"got 'pets.xlsx'; expected a list of images: a .csv, .tsv, .parquet file\.$"),
        ("nope://bucket/pets.csv", r"nope://bucket/pets.csv cannot be read \(Protocol not known: nope\)\.$"),
        (".", r"got '\.', which holds no metadata.csv, nor do split folders in it\.$"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: pathlib.Path, monkeypatch, path: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        open_list(path).check()


@pytest.mark.timeout(60)
def test_a_list_that_is_a_named_pipe_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pets.csv"
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"pets.csv is a named pipe; save the list to a file\.$"):
        open_list(path).check()


def test_fingerprint_follows_the_images(pets: pathlib.Path) -> None:
    before = open_list(pets).fingerprint()
    assert open_list(pets).fingerprint() == before
    os.utime(pets.parent / "val0.png", ns=(0, 1))
    assert open_list(pets).fingerprint() != before


@pytest.mark.parametrize("names", [("1.0", "2.0"), ("v1.5", "2.5")])
def test_whole_numbers_and_names_with_numbers_are_classes(pets: pathlib.Path, names: tuple[str, str]) -> None:
    pets.write_text(CSV.replace("cat", names[0]).replace("dog", names[1]))
    source = open_list(pets)
    source.check()
    assert set(source.class_names) == set(names)


def test_numbers_that_are_equal_have_one_order_in_every_process(make_folder) -> None:
    rows = "".join(f"{index}.png,{label}\n" for index, label in enumerate(("01", "2", "1") * 20))
    folder = make_folder({"list.csv": f"path,label\n{rows}".encode()})
    assert open_list(folder / "list.csv").class_names == ("01", "1", "2")


def test_whole_numbers_of_a_parquet_file_with_a_gap_are_whole(pets: pathlib.Path) -> None:
    names = [path.name for path in sorted(pets.parent.glob("*.png"))]
    splits = ["test", "test", "train", "train", "val", "val"]
    table = pa.table({"path": names, "label": [10.0, 2.0] * 3, "split": splits})
    pyarrow.parquet.write_table(table, pets.parent / "pets.parquet")
    assert open_list(pets.parent / "pets.parquet").class_names == ("2", "10")


@pytest.mark.parametrize("value", [" {} ".format, str.encode], ids=["spaces", "bytes"])
def test_values_of_a_parquet_file_are_read_as_those_of_a_csv_file(pets: pathlib.Path, value) -> None:
    header, *rows = (line.split(",") for line in CSV.split())
    table = pa.table({name: [value(row[index]) for row in rows] for index, name in enumerate(header)})
    pyarrow.parquet.write_table(table, pets.with_suffix(".parquet"))
    check_pets(open_list(pets.with_suffix(".parquet")), pets.parent)


def test_bytes_of_a_parquet_file_that_are_no_text_are_refused(pets: pathlib.Path) -> None:
    table = pa.table({"path": ["0.png"], "label": [b"\xff"]})
    pyarrow.parquet.write_table(table, pets.with_suffix(".parquet"))
    with pytest.raises(
        InputError, match=r"data.label_column: 'label' holds bytes that are no UTF-8 text; name another"
    ):
        open_list(pets.with_suffix(".parquet")).check()


def test_columns_of_a_parquet_file_that_are_called_the_same_are_refused(pets: pathlib.Path) -> None:
    table = pa.table([["0.png"], ["a"], ["b"]], names=["path", "class", "class"])
    pyarrow.parquet.write_table(table, pets.with_suffix(".parquet"))
    with pytest.raises(InputError, match=r"data.label_column: .* has 2 columns called 'class'"):
        open_list(pets.with_suffix(".parquet")).check()


def test_images_inside_a_parquet_file_are_no_paths(pets: pathlib.Path) -> None:
    table = pa.table({"image": [{"bytes": b"", "path": "a.png"}], "label": [0]})
    pyarrow.parquet.write_table(table, pets.parent / "pets.parquet")
    with pytest.raises(InputError, match=r"data.path_column: 'image' holds struct<.*>, no paths"):
        open_list(pets.parent / "pets.parquet").check()


def test_a_list_of_one_row_has_no_root_to_be_found(make_folder) -> None:
    rows = next(f"{n}.png,cat\n" for n in range(100) if splitting.position(f"{n}.png") > 0.9)
    folder = make_folder({"list.csv": f"path,label\n{rows}".encode()})
    assert open_list(folder / "list.csv").find_root() is None
