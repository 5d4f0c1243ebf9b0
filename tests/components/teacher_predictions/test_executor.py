import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components import tfx_patches
from components.artifacts import TeacherPredictions
from components.errors import InputError
from components.layout import MANIFEST_FILE
from components.settings.models import ImageSettings
from components.settings.training import AugmentSettings, Views
from components.storage import files as storage
from components.teacher_predictions.executor import Executor
from components.teacher_predictions.store import fingerprint_teacher, open_predictions, read_logits

IMAGE = ImageSettings(height=2, width=2, channels=1)
COUNTS = (700, 3, 0, 20)  # Of examples in each shard; 700 are more than one batch.
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
VIEWS = Views(number=2, seed=3, augment=AugmentSettings(shift=0.5, mixup=0.2))


def pixels_of(shard: int) -> np.ndarray:
    return np.random.default_rng(shard).integers(0, 256, (COUNTS[shard], 4), np.uint8)


@pytest.fixture
def teacher_directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A teacher whose logits are the pixels and their negative sum."""
    inputs = keras.Input(IMAGE.shape)
    dense = keras.layers.Dense(5, use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([np.concatenate([np.eye(4), -np.ones((4, 1))], axis=1)])
    (tmp_path / "teacher").mkdir()
    model.save(tmp_path / "teacher/model.keras")
    return tmp_path / "teacher"


@pytest.fixture
def examples(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> pathlib.Path:
    directory = tmp_path / "examples"
    for split in ("train", "validation"):
        (directory / f"Split-{split}").mkdir(parents=True)
        for shard, count in enumerate(COUNTS):
            write_examples(
                directory / f"Split-{split}" / f"part-{shard}",
                pixels=pixels_of(shard),
                labels=[0] * count,
                ids=[f"{shard}/{number}" for number in range(count)],
            )
    return directory


class Node:
    """The node, as a run has it: each attempt gets an output of its own."""

    def __init__(self, directory: pathlib.Path, examples: str, teacher: str, artifact: Callable[..., Any]):
        self._root = f"{directory}/TeacherPredictions/predictions"
        self._examples = examples
        self._teacher = teacher
        self._temporary = directory / "temporary"
        self._artifact = artifact
        self._attempts = 0

    def run(
        self,
        *,
        splits: Sequence[str] = ("train",),
        views: Views | None = None,
        top_k: int | None = None,
        root: str = "",
        beam_args: Sequence[str] = (),
    ) -> pathlib.Path:
        """Runs an attempt; returns where its output lies."""
        self._attempts += 1
        uri = f"{root or self._root}/{self._attempts}"
        context = Executor.Context(
            beam_pipeline_args=["--beam_plugins=tfx", *beam_args],
            tmp_dir=str(self._temporary),
            unique_id=str(self._attempts),
        )
        artifacts = (standard_artifacts.Examples, self._examples), (standard_artifacts.Model, self._teacher)
        data, model = (self._artifact(kind, place) for kind, place in artifacts)
        data.split_names = '["train", "validation"]'
        with tfx_patches.direct_runner(), tfx_patches.no_packing():
            Executor(context).Do(
                {"examples": [data], "teacher": [model]},
                {"predictions": [self._artifact(TeacherPredictions, uri)]},
                {
                    "image": IMAGE.model_dump_json(),
                    "splits": json.dumps(list(splits)),
                    "views": views and views.model_dump_json(),
                    "top_k": top_k,
                },
            )
        return pathlib.Path(uri)

    @property
    def kept(self) -> pathlib.Path:
        return pathlib.Path(self._root).parent / ".shards"


@pytest.fixture
def node(
    tmp_path: pathlib.Path,
    examples: pathlib.Path,
    teacher_directory: pathlib.Path,
    artifact: Callable[..., Any],
) -> Node:
    return Node(tmp_path, str(examples), str(teacher_directory), artifact)


def files_below(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_each_shard_holds_the_logits_of_its_examples(
    node: Node, examples: pathlib.Path, teacher_directory: pathlib.Path
) -> None:
    directory = node.run(splits=("train", "validation"))

    for split in ("train", "validation"):
        files = open_predictions(
            str(directory / f"Split-{split}"),
            teacher_fingerprint=fingerprint_teacher(str(teacher_directory / "model.keras")),
            num_examples=sum(COUNTS),
            example_files=sorted(map(str, (examples / f"Split-{split}").iterdir())),
        )
        pixels = np.concatenate([pixels_of(shard) for shard in range(len(COUNTS))]) / 255
        expected = np.c_[pixels, -pixels.sum(axis=1)]
        # Float16 has 11 significant bits.
        np.testing.assert_allclose(read_logits(files, num_classes=5), expected, rtol=2**-11)
    assert not node.kept.exists()


def test_the_most_likely_class_alone_may_be_stored(node: Node, examples: pathlib.Path) -> None:
    directory = node.run(top_k=1)

    files = sorted(map(str, (directory / "Split-train").glob("part-*")))
    pixels = np.concatenate([pixels_of(shard) for shard in range(len(COUNTS))]) / 255
    logits = np.c_[pixels, -pixels.sum(axis=1)]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    highest = probabilities.max(axis=1, keepdims=True)
    expected = np.where(probabilities == highest, highest, (1 - highest) / 4)
    read = np.exp(read_logits(files, num_classes=5, at_most=sum(COUNTS)))
    # Two of four pixels may be equal, of which one is kept.
    differ = np.sort(logits)[:, -1] > np.sort(logits)[:, -2]
    assert differ.sum() > 700
    np.testing.assert_allclose((read / read.sum(axis=1, keepdims=True))[differ], expected[differ], rtol=2**-9)


@pytest.mark.parametrize("top_k", [None, 1])
def test_the_bytes_are_the_same_in_one_process_and_in_several(node: Node, top_k: int | None) -> None:
    splits = ("train", "validation")  # Those to validate on are never seen in views.
    alone = files_below(node.run(splits=splits, views=VIEWS, top_k=top_k))
    assert len(alone) == 2 * (len(COUNTS) + 1)
    again = node.run(splits=splits, views=VIEWS, top_k=top_k, beam_args=TWO_PROCESSES)
    assert files_below(again) == alone


def test_in_a_bucket(
    node: Node, bucket: str, examples: pathlib.Path, teacher_directory: pathlib.Path,
    tmp_path: pathlib.Path, artifact: Callable[..., Any],
) -> None:  # fmt: skip
    here = files_below(node.run())
    for name, content in files_below(examples).items():
        storage.write_bytes(f"{bucket}/examples/{name}", content)
    for name, content in files_below(teacher_directory).items():
        storage.write_bytes(f"{bucket}/teacher/{name}", content)
    remote = Node(tmp_path, f"{bucket}/examples", f"{bucket}/teacher", artifact)

    remote.run(root=f"{bucket}/TeacherPredictions/predictions")

    uri = f"{bucket}/TeacherPredictions"
    stored = {each.name: storage.read_bytes(f"{uri}/{each.name}") for each in storage.files_below(uri)}
    assert stored == {f"predictions/1/{name}": content for name, content in here.items()}


@pytest.fixture
def killed(
    node: Node, examples: pathlib.Path, teacher_directory: pathlib.Path, tmp_path: pathlib.Path
) -> Node:
    """The node after its first attempt was killed in the third of four shards."""
    files = sorted(map(str, (examples / "Split-train").iterdir()))
    arguments = {
        "example_files": {"train": files},
        "teacher_file": str(teacher_directory / "model.keras"),
        "image_shape": IMAGE.shape,
        "uri": str(tmp_path / "TeacherPredictions/predictions/0"),
        "kept": str(node.kept),
        "report": str(tmp_path / "report.json"),
    }
    script = pathlib.Path(__file__).with_name("killable.py")
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    process = subprocess.run(
        [sys.executable, str(script), json.dumps(arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == -signal.SIGKILL, process.stderr
    return node


def whole_shards(node: Node) -> dict[str, tuple[int, int]]:
    """Returns the inode and the time of change of each shard that is kept."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in node.kept.rglob("part-*")
        if not path.name.startswith(".")
    }


def test_after_a_kill_whole_shards_are_not_predicted_again(
    killed: Node, caplog: pytest.LogCaptureFixture
) -> None:
    before = whole_shards(killed)
    assert len(before) == 2
    caplog.set_level("INFO")

    directory = killed.run()

    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert told == ["goes on with 2 of 4 shards, from an attempt that was interrupted"]
    stored = {path.name: path.stat() for path in (directory / "Split-train").glob("part-*")}
    # They are the very same files, and the others are new ones.
    assert {name: (stored[name].st_ino, stored[name].st_mtime_ns) for name in before} == before
    assert len(stored) == 4
    assert not killed.kept.exists()
    assert files_below(killed.run()) == files_below(directory)


@pytest.mark.parametrize("changed", ["examples", "teacher", "views", "top_k"])
def test_what_is_kept_is_never_taken_for_anything_else(
    changed: str, killed: Node, examples: pathlib.Path, teacher_directory: pathlib.Path,
    write_examples: Callable[..., str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    if changed == "examples":
        path = examples / "Split-train/part-1"
        write_examples(path, pixels=255 - pixels_of(1), labels=[0] * 3, ids=["1/0", "1/1", "1/2"])
    elif changed == "teacher":
        model = keras.saving.load_model(teacher_directory / "model.keras")
        model.set_weights([2 * each for each in model.get_weights()])
        model.save(teacher_directory / "model.keras")
    caplog.set_level("INFO")

    directory = killed.run(
        views=VIEWS if changed == "views" else None, top_k=1 if changed == "top_k" else None
    )

    assert not [record.told for record in caplog.records if hasattr(record, "told")]
    assert not killed.kept.exists()
    records = tf.data.TFRecordDataset(str(directory / "Split-train/part-1")).as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    halves = [each["halves"].bytes_list.value for each in features]
    if changed == "views":
        assert [len(each) for each in halves] == [2, 2, 2]
    elif changed == "top_k":
        assert [len(each[0]) for each in halves] == [6, 6, 6]
    else:
        pixels = (255 - pixels_of(1) if changed == "examples" else 2.0 * pixels_of(1)) / 255
        stored = [np.frombuffer(each[0], "<f2")[:4] for each in halves]
        np.testing.assert_allclose(stored, pixels, rtol=2**-11)


def test_a_disk_that_fills_is_named_and_nothing_is_left_to_be_trusted(
    tmp_path: pathlib.Path, examples: pathlib.Path, teacher_directory: pathlib.Path,
    artifact: Callable[..., Any],
) -> None:  # fmt: skip
    """On a real file system of 32 kB, which some 350 predictions fill."""
    small = tmp_path / "small"
    small.mkdir()
    node = Node(small, str(examples), str(teacher_directory), artifact)
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        with pytest.raises(InputError, match="No space left on device for the teacher predictions in"):
            node.run()
        assert not list(small.rglob(MANIFEST_FILE))
        assert not whole_shards(node).keys() & {"part-0"}
    finally:
        subprocess.run(["umount", str(small)], check=True)
