import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.storage import files as storage
from components.transform.executor import Executor

SETTINGS = {"image": {"height": 2, "width": 3, "channels": 1}}
COUNTS = {"train": (5, 0, 70), "test": (2,)}  # Of images in each shard; 70 are more than one batch.
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
SCHEMA = """
feature { name: "image" type: BYTES presence { min_fraction: 1.0 min_count: 1 } shape { } }
feature { name: "id" type: BYTES presence { min_fraction: 1.0 min_count: 1 } shape { } }
feature { name: "label" type: INT presence { min_fraction: 1.0 min_count: 1 } shape { } }
feature { name: "weight" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { } }
"""

Transform = Callable[..., pathlib.Path]


def pixels_of(identifier: str) -> np.ndarray:
    seed = int.from_bytes(identifier.encode(), "little")
    return np.random.default_rng(seed).integers(0, 256, (2, 3, 1), np.uint8)


def _example(identifier: str) -> bytes:
    example = tf.train.Example()
    feature = example.features.feature
    feature["image"].bytes_list.value.append(tf.io.encode_png(pixels_of(identifier)).numpy())
    feature["id"].bytes_list.value.append(identifier.encode())
    feature["label"].int64_list.value.append(len(identifier))
    feature["weight"].float_list.value.append(0.25)
    return example.SerializeToString()


def ids_of(split: str, shard: int) -> list[str]:
    return [f"{split}/{shard}/{number}" for number in range(COUNTS[split][shard])]


def _write_examples(directory: pathlib.Path) -> None:
    for split, counts in COUNTS.items():
        (directory / f"Split-{split}").mkdir(parents=True)
        for shard in range(len(counts)):
            path = directory / f"Split-{split}/data_tfrecord-{shard:05d}-of-{len(counts):05d}.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for each in ids_of(split, shard):
                    writer.write(_example(each))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory with examples and a schema."""
    directory = tmp_path_factory.mktemp("transform")
    _write_examples(directory / "examples")
    (directory / "schema").mkdir()
    (directory / "schema/schema.pbtxt").write_text(SCHEMA)
    return directory


@pytest.fixture(scope="module")
def transform(directory: pathlib.Path, artifact: Callable[..., Any], as_in_a_run: None) -> Transform:
    """Runs the executor; returns where its outputs lie."""

    def run(
        name: str, *, examples: str = "", outputs: str = "", beam_args: Sequence[str] = ()
    ) -> pathlib.Path:
        outputs = outputs or str(directory / name)
        inputs = {
            "examples": [
                artifact(standard_artifacts.Examples, examples or directory / "examples", splits=list(COUNTS))
            ],
            "schema": [artifact(standard_artifacts.Schema, directory / "schema")],
        }
        transformed = artifact(standard_artifacts.Examples, f"{outputs}/transformed")
        splits = transform_pb2.SplitsConfig(analyze=["train"], transform=list(COUNTS))
        context = Executor.Context(
            beam_pipeline_args=["--beam_plugins=tfx", *beam_args],
            tmp_dir=str(directory / "temporary"),
            unique_id=name,
        )
        Executor(context).Do(
            inputs,
            {
                "transform_graph": [artifact(standard_artifacts.TransformGraph, f"{outputs}/graph")],
                "transformed_examples": [transformed],
            },
            {
                "preprocessing_fn": "components.transform.preprocessing.preprocessing_fn",
                "custom_config": json.dumps(SETTINGS),
                "splits_config": proto_utils.proto_to_json(splits),
                "disable_statistics": 1,
            },
        )
        assert json.loads(transformed.split_names) == list(COUNTS)
        return pathlib.Path(outputs)

    return run


@pytest.fixture(scope="module")
def once(transform: Transform) -> pathlib.Path:
    """Where the outputs of a run in this process lie."""
    return transform("once")


def files_below(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_each_shard_becomes_one_of_the_same_number_in_the_same_order(once: pathlib.Path) -> None:
    transformed = once / "transformed"

    assert set(files_below(transformed)) == {
        f"Split-{split}/transformed_examples-{shard:05d}-of-{len(counts):05d}"
        for split, counts in COUNTS.items()
        for shard in range(len(counts))
    }
    for split, counts in COUNTS.items():
        for shard in range(len(counts)):
            path = transformed / f"Split-{split}/transformed_examples-{shard:05d}-of-{len(counts):05d}"
            records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
            examples = [tf.train.Example.FromString(record).features.feature for record in records]
            ids = ids_of(split, shard)
            assert [each["id"].bytes_list.value[0].decode() for each in examples] == ids
            assert [each["image"].bytes_list.value[0] for each in examples] == [
                pixels_of(each).tobytes() for each in ids
            ]
            assert [each["label"].int64_list.value[0] for each in examples] == list(map(len, ids))
            assert all(list(each["weight"].float_list.value) == [0.25] for each in examples)


def test_the_graph_is_what_serving_loads(once: pathlib.Path) -> None:
    output = tft.TFTransformOutput(str(once / "graph"))

    assert set(output.raw_feature_spec()) == {"image", "id", "label", "weight"}
    assert output.transformed_feature_spec() == {
        "image": tf.io.FixedLenFeature([], tf.string),
        "id": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "weight": tf.io.FixedLenFeature([], tf.float32),
    }
    image = tf.io.encode_png(pixels_of("one"))
    packed = output.transform_features_layer()({"image": image[tf.newaxis]})["image"]
    assert packed.numpy().tolist() == [pixels_of("one").tobytes()]


@pytest.mark.parametrize(
    "beam_args",
    [
        pytest.param((), id="one process"),
        pytest.param(TWO_PROCESSES, id="several", marks=pytest.mark.long),
    ],
)
def test_the_bytes_are_the_same_again(
    transform: Transform, once: pathlib.Path, beam_args: Sequence[str]
) -> None:
    again = transform("together" if beam_args else "again", beam_args=beam_args)

    assert files_below(again / "transformed") == files_below(once / "transformed")


def test_examples_and_outputs_may_lie_in_a_bucket(
    transform: Transform, once: pathlib.Path, bucket: str, directory: pathlib.Path
) -> None:
    here = files_below(once / "transformed")
    for name, content in files_below(directory / "examples").items():
        storage.write_bytes(f"{bucket}/examples/{name}", content)

    transform("elsewhere", examples=f"{bucket}/examples", outputs=f"{bucket}/run")

    uri = f"{bucket}/run/transformed"
    assert {each.name: storage.read_bytes(f"{uri}/{each.name}") for each in storage.files_below(uri)} == here
    for name in ("transform_fn/saved_model.pb", "transformed_metadata/schema.pbtxt", "metadata/schema.pbtxt"):
        assert storage.is_file(f"{bucket}/run/graph/{name}")
