import pathlib

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.compile import compile_pipeline
from pipeline.config import load_config
from pipeline.nodes import node_ids

REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(load_config(REPOSITORY / "configs" / "digits.yaml"), output=output)
    return output


def test_the_committed_pipeline_is_what_the_compiler_makes(compiled: pathlib.Path) -> None:
    committed = REPOSITORY / "pipeline.yaml"

    assert committed.read_text() == compiled.read_text(), "Run `make pipeline.yaml` and commit the result."


def test_the_compiled_pipeline_is_a_valid_specification(compiled: pathlib.Path) -> None:
    specification = yaml.safe_load(compiled.read_text())

    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    components.load_component_from_file(str(compiled))
    assert specification["schemaVersion"] == "2.1.0"
    assert specification["defaultPipelineRoot"] == "minio://mlpipeline/v2/artifacts/digits"


def test_the_compiled_pipeline_has_every_node(compiled: pathlib.Path) -> None:
    tasks = yaml.safe_load(compiled.read_text())["root"]["dag"]["tasks"]

    assert set(tasks) == set(node_ids(load_config(REPOSITORY / "configs" / "digits.yaml")))
