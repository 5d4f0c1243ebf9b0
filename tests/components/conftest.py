"""Raw examples as ExampleGen writes them, and their statistics."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest


@pytest.fixture(scope="module")
def as_in_a_run() -> Iterator[None]:
    """What is replaced wherever nodes run; without it most of the time goes into Beam's repetitions."""
    from components import tfx_patches

    with tfx_patches.wherever_nodes_run():
        yield


class Data(NamedTuple):
    """Artifacts of ExampleGen and StatisticsGen."""

    examples: Any
    statistics: Any


def _write_examples(path: pathlib.Path, labels: Iterable[int], weight: float | None) -> None:
    import tensorflow as tf

    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for index, label in enumerate(labels):
            example = tf.train.Example()
            feature = example.features.feature
            feature["image"].bytes_list.value.append(b"\x89PNG\xff" + bytes([index % 256]))
            feature["id"].bytes_list.value.append(f"{path.parent.name}/{index}".encode())
            feature["label"].int64_list.value.append(label)
            feature["height"].int64_list.value.append(8 + index % 3)
            feature["width"].int64_list.value.append(8)
            if weight is not None:
                feature["weight"].float_list.value.append(weight)
            writer.write(example.SerializeToString())


def _write_descriptors(path: pathlib.Path, labels: Iterable[int]) -> None:
    """Describes the images as if they were small and grey, each another than all others."""
    from components.data_checks.descriptors import Descriptor, encode

    path.parent.mkdir(exist_ok=True)
    names = [(f"{path.stem}/{index}", index, label) for index, label in enumerate(labels)]
    described = [
        Descriptor(
            id=name,
            label=label,
            sha256=hashlib.sha256(name.encode()).digest(),
            height=8 + index % 3,
            width=8,
            brightness=100.0 + index % 16,
            contrast=20.0,
        )
        for name, index, label in names
    ]
    path.write_bytes(encode(described))


def _write_statistics(path: pathlib.Path, *, examples: pathlib.Path) -> None:
    import tensorflow as tf
    from tensorflow_data_validation.statistics import stats_impl
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    from components.schema_gen.schema import statistics_options

    records = [record.numpy() for record in tf.data.TFRecordDataset([str(examples)], "GZIP")]
    batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
    statistics = stats_impl.generate_statistics_in_memory(batch, statistics_options())
    path.parent.mkdir(parents=True)
    path.write_bytes(statistics.SerializeToString())


@pytest.fixture
def make_data(tmp_path: pathlib.Path) -> Callable[..., Data]:
    """Writes examples with the given labels, and a weight if need be, and the statistics of each split.

    TFDV computes the statistics without Beam, in a twentieth of the time: the proto is StatisticsGen's own.
    """

    def make(
        labels: dict[str, Iterable[int]], *, class_names: Sequence[str], weight: float | None = None
    ) -> Data:
        from tfx.types import artifact_utils, standard_artifacts

        data = Data(standard_artifacts.Examples(), standard_artifacts.ExampleStatistics())
        data.examples.uri, data.statistics.uri = str(tmp_path / "examples"), str(tmp_path / "statistics")
        for artifact in data:
            artifact.split_names = artifact_utils.encode_split_names(list(labels))
        for split in labels:
            path = tmp_path / f"examples/Split-{split}/data_tfrecord-00000-of-00001.gz"
            _write_examples(path, labels[split], weight)
            _write_descriptors(
                tmp_path / f"examples/descriptors/{split}-00000-of-00001.parquet", labels[split]
            )
            _write_statistics(tmp_path / f"statistics/Split-{split}/FeatureStats.pb", examples=path)
        description = json.dumps({"class_names": class_names, "splits": {}})
        (tmp_path / "examples/dataset.json").write_text(description, encoding="utf-8")
        return data

    return make


@pytest.fixture
def make_schema(tmp_path: pathlib.Path) -> Callable[[Data], Any]:
    """Runs SchemaGen's executor."""

    def make(data: Data) -> Any:
        from tfx.types import standard_artifacts

        from components.schema_gen.executor import Executor

        schema = standard_artifacts.Schema()
        schema.uri = str(tmp_path / "schema")
        inputs = {"statistics": [data.statistics], "examples": [data.examples]}
        Executor().Do(inputs, {"schema": [schema]}, {})
        return schema

    return make


@pytest.fixture(scope="session")
def artifact() -> Callable[..., Any]:
    """A function that makes an artifact of a type, which lies in a directory."""
    from tfx.types import artifact_utils

    def make(
        kind: type, directory: pathlib.Path | str, *, identifier: int = 0, splits: Sequence[str] = ()
    ) -> Any:
        made = kind()
        made.uri = str(directory)
        made.id = identifier
        if splits:
            made.split_names = artifact_utils.encode_split_names(list(splits))
        return made

    return make


@pytest.fixture(scope="session")
def store_predictions() -> Callable[..., None]:
    """A function that stores what a teacher says of some files of examples, in this process."""

    def store(
        teacher: Any,
        *,
        teacher_fingerprint: str,
        example_files: Sequence[str],
        directory: str,
        views: Any = None,
        top_k: int | None = None,
        **settings: Any,
    ) -> None:
        from components.teacher_predictions.shard_writer import ShardWriter
        from components.teacher_predictions.store import Shard, write_manifest

        writer = ShardWriter(teacher, views=views, top_k=top_k, **settings)
        shards = {}
        for file in example_files:
            path = pathlib.Path(directory, pathlib.Path(file).name)
            num_examples = writer.write(file, str(path))
            shards[path.name] = Shard(num_examples=num_examples, num_bytes=path.stat().st_size)
        write_manifest(
            directory, teacher_fingerprint=teacher_fingerprint, shards=shards, views=views, top_k=top_k
        )

    return store
