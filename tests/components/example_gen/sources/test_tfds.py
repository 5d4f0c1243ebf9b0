import json
import pathlib
import shutil

import numpy as np
import pytest

from components.errors import InputError
from components.example_gen.sources.tfds import Splits, TfdsData, TfdsSource

MNIST = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}


def open_tfds(
    dataset: str, data_dir: pathlib.Path, splits: dict[str, str], *, sample_weight: str | None = None
) -> TfdsSource:
    return TfdsData(
        source="tfds",
        dataset=dataset,
        data_dir=str(data_dir),
        splits=Splits(**splits),
        sample_weight=sample_weight,
    ).make_source()


def open_mnist(data_dir: pathlib.Path, **splits: str) -> TfdsSource:
    return open_tfds("mnist", data_dir, MNIST | splits)


@pytest.fixture
def copied_mnist(tfds_data: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with MNIST in it that may be changed."""
    shutil.copytree(tfds_data / "mnist", tmp_path / "mnist")
    return tmp_path


def test_reads_the_images_as_they_are_encoded(tfds_data: pathlib.Path) -> None:
    source = open_mnist(tfds_data, train="train[:1200]", test="test[-3:]")
    source.prepare()
    assert source.class_names == tuple("0123456789")
    assert source.shards("train") == ["train[0:600]", "train[600:1200]"]
    records = [record for shard in source.shards("test") for record in source.read(shard)]
    assert [record.id for record in records] == [
        f"mnist-test.tfrecord-00000-of-00001__{index}" for index in (9997, 9998, 9999)
    ]
    assert all(record.image.startswith(b"\x89PNG") for record in records)
    assert records == [record for shard in source.shards("test") for record in source.read(shard)]


def test_finds_the_features_by_their_type(tfds_data: pathlib.Path) -> None:
    # Beside image and label, cats_vs_dogs has a file name.
    splits = {"train": "train[:2]", "validation": "train[2:4]", "test": "train[4:6]"}
    source = open_tfds("cats_vs_dogs", tfds_data, splits)
    source.prepare()
    assert source.class_names == ("cat", "dog")
    (shard,) = source.shards("train")
    assert [record.image[:2] for record in source.read(shard)] == [b"\xff\xd8"] * 2


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": "tests"}, "data.splits.test: got 'tests'; allowed: train, test"),
        ({"train": "train[:90"}, "data.splits.train: got 'train[:90'; expected an expression such as"),
        ({"train": "train[:70000]"}, "data.splits.train: got 'train[:70000]'; 'train' has only 60000"),
        (
            {"validation": "train[80%:]"},
            "data.splits.validation: got 'train[80%:]', which selects examples that are in data.splits.train",
        ),
        (
            {"train": "train[:10]+train[5:20]"},
            "data.splits.train: got 'train[:10]+train[5:20]', which selects",
        ),
    ],
)
def test_refuses_splits_at_once(tfds_data: pathlib.Path, splits: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        open_mnist(tfds_data, **splits).check()
    assert str(caught.value).startswith(message)


def test_refuses_a_malformed_expression_before_the_data_is_there(tmp_path: pathlib.Path) -> None:
    open_mnist(tmp_path).check()
    with pytest.raises(InputError, match=r"data.splits.test: got 'test\[\]'"):
        open_mnist(tmp_path, test="test[]").check()


def test_refuses_a_missing_data_dir(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"data.data_dir: got '.*nowhere', which is no folder"):
        open_mnist(tmp_path / "nowhere").check()


@pytest.mark.parametrize("name", ["mnits", "mnist:9.9.9", "mnist/colour", "not a name"])
def test_refuses_an_unknown_data_set(tfds_data: pathlib.Path, name: str) -> None:
    with pytest.raises(
        InputError, match=f"data.dataset: got '{name}', which TensorFlow Datasets cannot open"
    ):
        open_tfds(name, tfds_data, MNIST).prepare()


def test_refuses_prepared_data_that_lacks_a_file(copied_mnist: pathlib.Path) -> None:
    next(copied_mnist.rglob("mnist-test*")).unlink()
    with pytest.raises(InputError, match=r"'mnist' lacks the file '.*mnist-test"):
        open_mnist(copied_mnist).prepare()


def test_refuses_a_damaged_description(copied_mnist: pathlib.Path) -> None:
    next(copied_mnist.rglob("dataset_info.json")).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"dataset_info.json' is damaged"):
        open_mnist(copied_mnist).check()


def test_fingerprint_follows_the_prepared_data(copied_mnist: pathlib.Path) -> None:
    source = open_mnist(copied_mnist)
    before = source.fingerprint()
    assert source.fingerprint() == before
    path = next(copied_mnist.rglob("dataset_info.json"))
    info = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(info | {"description": "changed"}), encoding="utf-8")
    assert source.fingerprint() != before


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data set in TFDS's format whose examples have a weight; those of `unlabelled` have no label."""
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import naming

    root = tmp_path_factory.mktemp("tfds")
    folder = root / "weighted/1.0.0"
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(3, 3, 1)),
            "label": tfds.features.ClassLabel(names=["ant", "bee"]),
            "weight": np.float32,
            "size": np.int64,
        }
    )
    splits = []
    for split, labels in (("train", [0, 1, 0, 1]), ("test", [1, 1, 0, 0]), ("unlabelled", [-1] * 4)):
        template = naming.ShardedFileTemplate(
            data_dir=folder, dataset_name="weighted", split=split, filetype_suffix="tfrecord"
        )
        path = template.sharded_filepath(shard_index=0, num_shards=1)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number, (label, weight) in enumerate(zip(labels, [0.5, 2, 1, 0], strict=True)):
                example = {"image": np.zeros((3, 3, 1), np.uint8), "label": label}
                example |= {"weight": weight, "size": number}
                writer.write(features.serialize_example(features.encode_example(example)))
        splits.append(
            tfds.core.SplitInfo(name=split, shard_lengths=[4], num_bytes=1, filename_template=template)
        )
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=splits)
    return root


WEIGHTED = {"train": "train", "validation": "test[:2]", "test": "test[2:]"}


def test_reads_the_weight_of_each_example(weighted: pathlib.Path) -> None:
    source = open_tfds("weighted", weighted, WEIGHTED, sample_weight="weight")
    source.prepare()
    (shard,) = source.shards("train")
    assert [(record.label, record.weight) for record in source.read(shard)] == [
        (0, 0.5),
        (1, 2.0),
        (0, 1.0),
        (1, 0.0),
    ]


@pytest.mark.parametrize("name", ["weigth", "size", "image"])
def test_refuses_a_weight_that_is_no_number_of_the_data_set(weighted: pathlib.Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_tfds("weighted", weighted, WEIGHTED, sample_weight=name).prepare()
    assert str(caught.value).startswith(
        f"data.sample_weight: got '{name}', which is no feature of 'weighted'"
    )
    assert "image, label, size, weight" in str(caught.value)


def test_a_split_of_tfds_without_labels_is_told_by_its_labels(weighted: pathlib.Path) -> None:
    source = open_tfds("weighted", weighted, WEIGHTED | {"train": "unlabelled"})
    source.prepare()
    assert {record.label for shard in source.shards("train") for record in source.read(shard)} == {-1}
