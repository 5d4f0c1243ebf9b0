import pathlib

import numpy as np

from benchmarks.bench import Images, Trained
from benchmarks.examples import Examples


def examples(labels: list[int]) -> Examples:
    ids = np.array([f"image/{number}" for number in range(len(labels))], dtype=object)
    return Examples(np.array([b"\0"] * len(ids), dtype=object), np.array(labels), ids)


def test_examples_are_written_once_and_afresh_after_an_interruption(tmp_path: pathlib.Path) -> None:
    splits = {"train": examples([0, 2, 1]), "test": examples([1])}
    (tmp_path / "test.partial").mkdir()  # Of a program that was stopped while it wrote.

    images = Images.write(splits, tmp_path)
    (file,) = map(pathlib.Path, images.files["train"])
    written = file.stat().st_mtime_ns

    assert images.ids == {"train": ["image/0", "image/1", "image/2"], "test": ["image/0"]}
    assert images.num_classes == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "train"]
    assert Images.write(splits, tmp_path) == images
    assert file.stat().st_mtime_ns == written


def test_a_model_is_as_good_on_validation_as_in_its_best_epoch() -> None:
    epochs = [{"val_accuracy": accuracy} for accuracy in (0.5, 0.75, 0.25)]

    assert Trained(model=None, epochs=epochs).validation_accuracy == 0.75
