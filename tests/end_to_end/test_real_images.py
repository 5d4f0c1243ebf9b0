"""The whole graph on some of the real images of TFDS."""

import pathlib

import pytest
from command_line import run

pytestmark = pytest.mark.long


def test_mnist_runs_in_several_processes(tfds_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    summary, _ = run(
        *("mnist.yaml", tmp_path, "--set", f"data.data_dir={tfds_data}"),
        *("--set", "data.splits.train=train[:2000]", "--set", "data.splits.validation=train[2000:2500]"),
        *("--set", "data.splits.test=test[:500]", "--set", "teacher.epochs=2", "--set", "student.epochs=1"),
        *("--set", "evaluation.min_accuracy=0.2"),
        *("--set", "beam.direct.workers=2"),
    )

    assert {split: entry["examples"] for split, entry in summary["data"].items()} == {
        "train": 2000,
        "validation": 500,
        "test": 500,
    }
    assert summary["models"]["teacher"]["accuracy"] > 0.7
    assert summary["models"]["distilled"]["parameters"] == 28_226


def test_cats_vs_dogs_runs_on_photographs(tfds_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    summary, _ = run(
        *("cats_vs_dogs_small.yaml", tmp_path, "--set", f"data.data_dir={tfds_data}"),
        *("--set", "data.splits.train=train[:5%]", "--set", "data.splits.validation=train[5%:7%]"),
        *("--set", "data.splits.test=train[7%:9%]", "--set", "teacher.epochs=1", "--set", "student.epochs=1"),
        *("--set", "evaluation.min_accuracy=0.0"),
    )

    assert summary["class_names"] == ["cat", "dog"]
    assert {split: entry["examples"] for split, entry in summary["data"].items()} == {
        "train": 600,
        "validation": 240,
        "test": 240,
    }
    assert summary["candidate"] == "distilled"
    assert set(summary["models"]["teacher"]["per_class"]) == {"cat", "dog"}
