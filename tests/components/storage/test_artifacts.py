"""A node whose artifacts lie in an object store, and which knows nothing but paths."""

import dataclasses
import pathlib
from typing import Any

import pytest

from components.storage import files
from components.storage.artifacts import keep_empty, on_this_machine


@dataclasses.dataclass
class Artifact:
    uri: str


class Executor:
    """Copies what it reads to one of its outputs; another stays empty."""

    @on_this_machine(but=("data",))
    def Do(self, inputs: dict[str, Any], outputs: dict[str, Any], properties: dict[str, Any]) -> None:
        ((model,), (copy,)) = inputs["model"], outputs["copy"]
        assert [each.uri for each in inputs["data"]] == properties["data"]
        for name in ("weights", "variables/data"):
            target = pathlib.Path(copy.uri, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pathlib.Path(model.uri, name).read_bytes())
        if properties["fails"]:
            raise ZeroDivisionError


@pytest.fixture
def artifacts(bucket: str) -> tuple[Artifact, Artifact, Artifact]:
    files.write_text(f"{bucket}/Trainer/model/1/weights", "learnt")
    files.write_text(f"{bucket}/Trainer/model/1/variables/data", "more")
    return tuple(Artifact(f"{bucket}/{name}") for name in ("Trainer/model/1", "Copy/copy/2", "Copy/empty/2"))


def run(artifacts: tuple[Artifact, Artifact, Artifact], *, fails: bool = False) -> None:
    model, copy, empty = artifacts
    inputs = {"model": [model], "data": [Artifact("s3://lake/of-a-million-images")]}
    properties = {"fails": fails, "data": ["s3://lake/of-a-million-images"]}
    Executor().Do(inputs, {"copy": [copy], "empty": [empty]}, properties)


def test_a_node_finds_its_inputs_here_and_leaves_its_outputs_there(artifacts, bucket: str) -> None:
    run(artifacts)
    model, copy, empty = artifacts
    assert model.uri == f"{bucket}/Trainer/model/1"
    assert (copy.uri, empty.uri) == (f"{bucket}/Copy/copy/2", f"{bucket}/Copy/empty/2")
    assert files.read_text(f"{copy.uri}/weights") == "learnt"
    assert files.read_text(f"{copy.uri}/variables/data") == "more"
    assert files.is_folder(empty.uri)  # Or TFX would not take it from the cache.


def test_a_node_that_fails_leaves_nothing(artifacts, bucket: str) -> None:
    with pytest.raises(ZeroDivisionError):
        run(artifacts, fails=True)
    assert artifacts[0].uri == f"{bucket}/Trainer/model/1"
    assert not files.exists(f"{bucket}/Copy")


def test_what_is_here_stays_as_it_is(tmp_path: pathlib.Path) -> None:
    model, copy, empty = (Artifact(str(tmp_path / name)) for name in ("model", "copy", "empty"))
    files.write_text(f"{model.uri}/weights", "learnt")
    files.write_text(f"{model.uri}/variables/data", "more")
    run((model, copy, empty))
    assert (tmp_path / "copy/weights").read_text() == "learnt"
    keep_empty(empty.uri)
    assert not (tmp_path / "empty").exists()
