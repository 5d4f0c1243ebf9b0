"""Workers of other kinds than a pool, on a Flink cluster of two TaskManagers, and those that are no use."""

import pathlib
import sys
from typing import Any

import pytest
from cluster import JOB_SERVER, Cluster

from components import tfx_patches
from components.errors import InputError
from pipeline.beam.options import to_args
from pipeline.beam.probe import probe
from pipeline.config.beam import BeamSettings

pytestmark = pytest.mark.flink

_WORKER = pathlib.Path(sys.executable).with_name("distill-worker")
_WITHOUT_PROJECT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "pipeline":
            raise ModuleNotFoundError("No module named 'pipeline'", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.mark.parametrize(
    "workers",
    [{"kind": "loopback"}, {"kind": "process", "command": str(_WORKER)}],
    ids=lambda workers: workers["kind"],
)
def test_they_serve_both_task_managers_at_once(
    workers: dict[str, str], cluster: Any, tmp_path: pathlib.Path
) -> None:
    import apache_beam as beam

    mark = cluster["jobmanager"].said
    with (
        tfx_patches.loopback_workers(),
        beam.Pipeline(argv=_args(cluster, workers)) as pipeline,
    ):
        _ = (
            pipeline
            | beam.Create(range(100))
            | beam.Map(lambda number: (number % 3, number))
            | beam.CombinePerKey(sum)
            | beam.Map(str)
            | beam.io.WriteToText(str(tmp_path / "sums"))
        )

    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert sorted(written.splitlines()) == ["(0, 1683)", "(1, 1617)", "(2, 1650)"]
    assert not cluster["jobmanager"].has_said("RUNNING to RESTARTING", after=mark)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        (
            "sitecustomize.py",
            _WITHOUT_PROJECT,
            "the workers of flink lack this project or what it needs (there is no module 'pipeline')",
        ),
        (
            "keras-3.0.0.dist-info/METADATA",
            "Name: keras\nVersion: 3.0.0\n",
            "the workers of flink have keras 3.0.0, and this machine has",
        ),
    ],
    ids=["without this project", "with another version"],
)
def test_workers_of_another_installation_are_told_in_a_sentence(
    path: str, content: str, told: str, cluster: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "path" / path).parent.mkdir(parents=True)
    (tmp_path / "path" / path).write_text(content)
    program = tmp_path / "worker"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "path"} exec {_WORKER} "$@"\n')
    program.chmod(0o755)

    assert told in _what_is_told_of(program, cluster, root=tmp_path)


def test_a_program_that_the_task_managers_do_not_have_is_told_in_a_sentence(
    cluster: Any, tmp_path: pathlib.Path
) -> None:
    told = _what_is_told_of(tmp_path / "nothing", cluster, root=tmp_path)

    assert "its Python workers" in told


def _what_is_told_of(program: pathlib.Path, cluster: Cluster, *, root: pathlib.Path) -> str:
    """Returns what a user is told whose workers a program starts."""
    args = _args(cluster, {"kind": "process", "command": str(program)})
    with pytest.raises(InputError) as error:
        probe(args, engine="flink", root=str(root), seconds=120)
    return str(error.value)


def _args(cluster: Cluster, workers: dict[str, str]) -> list[str]:
    """Returns the options of Beam."""
    settings = BeamSettings.model_validate({"engine": "flink", "flink": cluster.settings(workers=workers)})
    return [*to_args(settings), f"--files_to_stage={JOB_SERVER}"]
