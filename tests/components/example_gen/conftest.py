"""Images, folders of images, and a run of ExampleGen's executor."""

import io
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

MakeImage = Callable[..., bytes]
MakeFolder = Callable[[dict[str, bytes]], pathlib.Path]


class Ingested(NamedTuple):
    """What a run of ExampleGen left."""

    artifact: Any
    description: dict[str, Any]

    def shards(self, split: str) -> list[pathlib.Path]:
        return sorted(pathlib.Path(self.artifact.uri, f"Split-{split}").iterdir())

    def examples(self, split: str) -> Iterator[dict[str, Any]]:
        import tensorflow as tf

        for record in tf.data.TFRecordDataset(list(map(str, self.shards(split))), "GZIP"):
            features = tf.train.Example.FromString(record.numpy()).features.feature
            yield {
                name: (feature.bytes_list.value or feature.int64_list.value or feature.float_list.value)[0]
                for name, feature in features.items()
            }


@pytest.fixture(scope="session")
def make_image() -> MakeImage:
    """Encodes an image of random pixels."""

    def make(
        kind: str = "PNG", *, mode: str = "RGB", height: int = 9, width: int = 7, seed: int = 0
    ) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def make_folder(tmp_path: pathlib.Path) -> MakeFolder:
    """Writes files below a new folder."""

    def make(files: dict[str, bytes]) -> pathlib.Path:
        root = tmp_path / "images"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    return make


@pytest.fixture
def pets(make_image: MakeImage, make_folder: MakeFolder) -> pathlib.Path:
    """Split folders: 4 cats and 3 dogs to train on, one of each to validate and to test."""
    counts = {"train": (4, 3), "validation": (1, 1), "test": (1, 1)}
    return make_folder(
        {
            f"{split}/{name}/{index}.png": make_image(height=9 + index, seed=index)
            for split, both in counts.items()
            for name, count in zip(("cat", "dog"), both, strict=True)
            for index in range(count)
        }
    )


@pytest.fixture
def ingest(tmp_path: pathlib.Path, as_in_a_run: None) -> Callable[..., Ingested]:
    """Runs ExampleGen's executor."""

    def run(data: Any, *, name: str = "examples", beam_args: Sequence[str] = ()) -> Ingested:
        from tfx.types import standard_artifacts

        from components.example_gen.executor import Executor

        artifact = standard_artifacts.Examples()
        artifact.uri = str(tmp_path / name)
        context = Executor.Context(
            beam_pipeline_args=list(beam_args), tmp_dir=str(tmp_path / "temporary"), unique_id=name
        )
        properties = {"data": data.model_dump_json(), "fingerprint": ""}
        Executor(context).Do({}, {"examples": [artifact]}, properties)
        text = pathlib.Path(artifact.uri, "dataset.json").read_text(encoding="utf-8")
        return Ingested(artifact, json.loads(text))

    return run
