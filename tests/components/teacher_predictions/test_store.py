import json
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.layout import MANIFEST_FILE
from components.teacher_predictions.store import (
    fingerprint_teacher,
    open_predictions,
)

SHAPE = (2, 2, 1)
PIXELS = np.arange(10 * 4).reshape(10, 4)


@pytest.fixture
def example_files(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> list[str]:
    return [
        write_examples(
            tmp_path / name,
            pixels=PIXELS[rows],
            labels=[0] * len(ids),
            ids=[str(i) for i in ids],
        )
        for name, rows, ids in (
            ("part-0", slice(0, 7), range(7)),
            ("part-1", slice(7, 10), range(7, 10)),
            ("part-2", slice(10, 10), ()),
        )
    ]


@pytest.fixture
def teacher() -> keras.Model:
    """A teacher whose logits are the pixels and their negative sum."""
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    kernel = np.concatenate([np.eye(4), -np.ones((4, 1))], axis=1)
    dense = keras.layers.Dense(5, use_bias=False)
    model = keras.Model(inputs, dense(flat))
    dense.set_weights([kernel])
    return model


@pytest.fixture
def stored(
    tmp_path: pathlib.Path,
    example_files: list[str],
    teacher: keras.Model,
    store_predictions: Callable[..., None],
) -> pathlib.Path:
    """The teacher's predictions, in batches of 4."""
    directory = tmp_path / "predictions"
    directory.mkdir()
    store_predictions(
        teacher,
        teacher_fingerprint="abc",
        example_files=example_files,
        image_shape=SHAPE,
        batch_size=4,
        directory=str(directory),
    )
    return directory


def read(path: pathlib.Path) -> list[tf.train.Example]:
    return [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]


def test_each_shard_holds_the_logits_of_its_examples_in_order(stored: pathlib.Path) -> None:
    for name, rows in (("part-0", range(7)), ("part-1", range(7, 10))):
        records = read(stored / name)
        ids = [record.features.feature["id"].bytes_list.value[0].decode() for record in records]
        halves = [record.features.feature["halves"].bytes_list.value for record in records]
        assert {len(each) for each in halves} == {1}
        logits = [np.frombuffer(each[0], "<f2") for each in halves]
        assert ids == [str(i) for i in rows]
        pixels = PIXELS[rows] / 255
        # Float16 has 11 significant bits.
        np.testing.assert_allclose(logits, np.c_[pixels, -pixels.sum(axis=1)], rtol=2**-11)


def test_the_manifest_counts_every_file(stored: pathlib.Path) -> None:
    assert json.loads((stored / MANIFEST_FILE).read_text()) == {
        "teacher_fingerprint": "abc",
        "shards": {
            name: {"num_examples": count, "num_bytes": (stored / name).stat().st_size}
            for name, count in (("part-0", 7), ("part-1", 3), ("part-2", 0))
        },
        "num_views": 0,
        "views_fingerprint": "",
        "top_k": None,
    }
    assert {path.name for path in stored.iterdir()} == {"part-0", "part-1", "part-2", MANIFEST_FILE}


def test_predictions_are_opened_in_the_order_of_the_examples(
    stored: pathlib.Path, example_files: list[str]
) -> None:
    files = open_predictions(
        str(stored), teacher_fingerprint="abc", num_examples=10, example_files=example_files[::-1]
    )

    assert files == [str(stored / name) for name in ("part-2", "part-1", "part-0")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher_fingerprint": "xyz"}, "are of the teacher abc, not of xyz"),
        ({"num_examples": 11}, "cover 10 examples, but the split has 11"),
        ({"example_files": ["part-0"]}, "of other files"),
    ],
)
def test_predictions_of_anything_else_are_refused(
    stored: pathlib.Path, example_files: list[str], change: dict[str, object], message: str
) -> None:
    arguments = {"teacher_fingerprint": "abc", "num_examples": 10, "example_files": example_files} | change

    with pytest.raises(InputError, match=message):
        open_predictions(str(stored), **arguments)


@pytest.mark.parametrize("manifest", [None, "", '{"num_views": 5}'])
def test_predictions_without_a_usable_manifest_are_incomplete(
    manifest: str | None, stored: pathlib.Path, example_files: list[str]
) -> None:
    (stored / MANIFEST_FILE).unlink()
    if manifest is not None:
        (stored / MANIFEST_FILE).write_text(manifest)

    with pytest.raises(InputError, match="incomplete"):
        open_predictions(str(stored), teacher_fingerprint="abc", num_examples=10, example_files=example_files)


def test_a_file_cut_short_is_refused(stored: pathlib.Path, example_files: list[str]) -> None:
    content = (stored / "part-1").read_bytes()
    (stored / "part-1").write_bytes(content[: len(content) * 2 // 3])  # A record less, else whole.

    with pytest.raises(InputError, match=rf"damaged: part-1 has \d+ bytes, not the {len(content)} that were"):
        open_predictions(str(stored), teacher_fingerprint="abc", num_examples=10, example_files=example_files)


def test_the_fingerprint_is_that_of_the_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(b"abc")

    # FIPS 180-2, appendix B.1.
    assert fingerprint_teacher(str(file)) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
