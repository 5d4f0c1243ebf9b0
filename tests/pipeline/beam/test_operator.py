"""How nodes get their runner."""

import pathlib

from apache_beam import Pipeline
from apache_beam.options.pipeline_options import DirectOptions
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata
from tfx.types.standard_artifacts import String

from pipeline.beam.operator import Engine
from pipeline.config.beam import BeamSettings, DirectSettings
from pipeline.local.run import run_pipeline


@component(use_beam=True)
def Where(
    where: OutputArtifact[String],
    attempt: Parameter[int],
    beam_pipeline: BeamComponentParameter[Pipeline] = None,
) -> None:
    """Writes with how many workers Beam runs."""
    del attempt
    where.value = str(beam_pipeline.options.view_as(DirectOptions).direct_num_workers)


def run(directory: pathlib.Path, *, workers: int, attempt: int) -> tuple[str, list[str]]:
    """Runs the node; returns whether it came from the cache, and what it wrote, now and before."""
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="where",
        pipeline_root=str(directory / "artifacts"),
        components=[Where(attempt=attempt)],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(directory / "metadata")),
    )
    nodes = run_pipeline(
        lambda: pipeline,
        orchestrator="local",
        engine=Engine(settings=BeamSettings(direct=DirectSettings(workers=workers)), root=str(directory)),
        report=lambda event: None,
    )
    written = sorted(
        (directory / "artifacts" / "Where" / "where").glob("*/value"), key=lambda path: path.parent
    )
    return nodes["Where"]["state"], [file.read_text() for file in written]


def test_a_node_runs_where_the_settings_say_and_the_cache_does_not_count_that(tmp_path):
    assert run(tmp_path, workers=1, attempt=1) == ("completed", ["1"])
    assert run(tmp_path, workers=2, attempt=1) == ("cached", ["1"])
    assert run(tmp_path, workers=2, attempt=2) == ("completed", ["1", "2"])
