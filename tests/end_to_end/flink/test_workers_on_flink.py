"""The kinds of workers that are no pool, on a Flink cluster of two TaskManagers."""

import pathlib
import sys
from typing import Any

import pytest
from cluster import JOB_SERVER

from components import tfx_patches
from pipeline.beam.options import to_args
from pipeline.config.beam import BeamSettings

pytestmark = pytest.mark.flink


@pytest.mark.parametrize(
    "workers",
    [
        {"kind": "loopback"},
        {"kind": "process", "command": str(pathlib.Path(sys.executable).with_name("distill-worker"))},
    ],
    ids=lambda workers: workers["kind"],
)
def test_they_serve_both_task_managers_at_once(
    workers: dict[str, str], cluster: Any, tmp_path: pathlib.Path
) -> None:
    import apache_beam as beam

    flink = cluster.settings(workers=workers)
    args = to_args(BeamSettings.model_validate({"engine": "flink", "flink": flink}))
    mark = cluster["jobmanager"].said
    with (
        tfx_patches.loopback_workers(),
        beam.Pipeline(argv=[*args, f"--files_to_stage={JOB_SERVER}"]) as pipeline,
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
