"""A run of ExampleGen's executor whose images and artifacts lie in an object store."""

import pathlib
from collections.abc import Callable
from typing import Any

from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.splitting import SplitFractions
from components.storage import files
from components.storage.copies import upload


def contents(uri: str) -> dict[str, bytes]:
    return {entry.name: files.read_bytes(f"{uri}/{entry.name}") for entry in files.files_below(uri)}


def test_it_writes_the_bytes_that_it_writes_here(
    make_image: Callable[..., bytes],
    make_folder: Callable[..., pathlib.Path],
    bucket: str,
    tmp_path: pathlib.Path,
    as_in_a_run: None,
) -> None:
    from tfx.types import standard_artifacts

    from components.example_gen.executor import Executor
    from components.storage import tfx_file_system

    tfx_file_system.register()
    images = make_folder(
        {f"{name}/{number}.png": make_image(seed=number) for name in "ab" for number in range(20)}
        | {"a/broken.png": b"broken"}
    )
    upload(images, f"{bucket}/images")

    def ingest(source: str, target: str) -> Any:
        data = ImageFolderData(
            source="image_folder",
            path=source,
            split_fractions=SplitFractions(train=0.6, validation=0.2, test=0.2),
        )
        artifact = standard_artifacts.Examples()
        artifact.uri = target
        context = Executor.Context(beam_pipeline_args=[], tmp_dir=f"{target}-temporary", unique_id="1")
        properties = {"data": data.model_dump_json(), "fingerprint": ""}
        Executor(context).Do({}, {"examples": [artifact]}, properties)
        return artifact

    here = ingest(str(images), str(tmp_path / "examples"))
    there = ingest(f"{bucket}/images", f"{bucket}/run/examples")
    assert there.split_names == here.split_names
    assert contents(there.uri) == contents(here.uri)
    assert len(contents(here.uri)) == 7  # For each split examples and descriptors, and what they are.
