"""The compiled pipelines that are committed: the digits', and one beside each configuration in `golden`.

`make pipeline.yaml` sets REWRITE_GOLDEN, and what differs is written instead.
"""

import os
import pathlib

import pytest

from pipeline.config.loading import load_config
from pipeline.kubeflow.compiler import render_pipeline

GOLDEN = pathlib.Path(__file__).with_name("golden")
REPOSITORY = GOLDEN.parents[3]
SUFFIX = ".compiled.yaml"
REWRITES = "REWRITE_GOLDEN" in os.environ

COMMITTED = {REPOSITORY / "configs" / "digits.yaml": REPOSITORY / "pipeline.yaml"} | {
    path: path.with_suffix(SUFFIX) for path in sorted(GOLDEN.glob("*.yaml")) if not path.name.endswith(SUFFIX)
}


@pytest.mark.parametrize("config", COMMITTED, ids=lambda path: path.stem)
def test_the_committed_pipeline_is_what_the_compiler_makes(config: pathlib.Path) -> None:
    compiled = render_pipeline(load_config(config))
    committed = COMMITTED[config]

    if REWRITES:
        committed.write_text(compiled, encoding="utf-8")

    assert committed.read_text(encoding="utf-8") == compiled, (
        "Run `make pipeline.yaml` and commit the result."
    )


def test_every_shape_of_the_graph_has_a_pipeline() -> None:
    configs = {config.stem: load_config(config) for config in COMMITTED}

    assert not configs["unlabelled"].data.labels
    assert [each.base.method for each in configs["hint"].distillations] == ["hint", "kd"]
    assert list(configs["several_teachers"].teachers) == ["Teacher-1", "Teacher-2", "Teacher-3"]
    assert configs["outside_teacher"].outside_teacher is not None
    assert len(configs) == 5
