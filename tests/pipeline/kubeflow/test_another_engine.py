"""A node whose Beam work is done elsewhere: by a job service and a pool of workers, with a bucket between."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from components.errors import InputError
from components.storage import files
from pipeline.config.loading import ConfigError, load_config
from pipeline.config.nodes import uses_beam
from pipeline.kubeflow.compiler import render_pipeline
from pipeline.kubeflow.entrypoint import run, translate

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"
JOB_SERVICE = """
from apache_beam.runners.portability.local_job_service import LocalJobServicer
import sys, threading
print(LocalJobServicer(sys.argv[1]).start_grpc_server(), flush=True)
threading.Event().wait()
"""
ELSEWHERE = (
    "kubeflow.beam={engine: flink, flink: {job_server: 'flink:8099', "
    "workers: {kind: external, address: 'localhost:50000'}}}"
)


@pytest.fixture
def engine(bucket: str, tmp_path: pathlib.Path) -> Iterator[str]:
    """What `kubeflow.beam` says of an engine whose workers know the bucket, and not the pod."""
    commands = [
        [sys.executable, "-c", JOB_SERVICE, str(tmp_path / "staged")],
        [sys.executable, "-m", "components.beam_workers.pool", "--port", "0"],
    ]
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ)
        )
        for command in commands
    ]
    job_service, pool = (
        str(process.stdout and process.stdout.readline()).split()[-1] for process in processes
    )
    workers = {"kind": "external", "address": f"localhost:{pool.rpartition(':')[2]}"}
    spark = {"job_server": f"localhost:{job_service}", "workers": workers}
    # The default is too short where others use the processors too.
    yield json.dumps({"engine": "spark", "spark": spark, "start_seconds": 600})
    for process in processes:
        process.terminate()
        process.wait()


def test_its_artifacts_are_written_where_they_lie(engine: str, bucket: str, tmp_path: pathlib.Path) -> None:
    examples = {"uri": f"{bucket}/1/examples", "type": {"instanceSchema": "title: tfx.Examples\n"}}
    output_file = tmp_path / "outputs" / "output_metadata.json"
    invocation = {
        "inputs": {"parameterValues": {"data": '{"source": "digits"}', "fingerprint": ""}},
        "outputs": {"artifacts": {"examples": {"artifacts": [examples]}}, "outputFile": str(output_file)},
    }
    specification = {key: {"parameterType": "STRING"} for key in ("data", "fingerprint")}
    output_file.parent.mkdir()

    code = run(
        [
            *("--executor_class_path", "components.example_gen.executor.Executor"),
            *("--json_serialized_invocation_args", json.dumps(invocation)),
            *("--json_serialized_inputs_spec_args", json.dumps({"parameters": specification})),
            *("--mounts", str(tmp_path / "mounts"), "--beam", engine),
        ]
    )

    assert code == 0
    (written,) = json.loads(output_file.read_text())["artifacts"]["examples"]["artifacts"]
    assert written["uri"] == examples["uri"]
    names = {entry.name.partition("/")[0] for entry in files.files_below(examples["uri"])}
    assert {"Split-train", "Split-validation", "Split-test"} <= names
    assert not (tmp_path / "mounts").exists()


def test_what_kubeflow_draws_itself_stays_with_its_launcher() -> None:
    def artifact(uri: str, title: str) -> Any:
        return {"artifacts": [{"uri": uri, "type": {"schemaTitle": title}}]}

    outputs = {
        "report": artifact("s3://b/run/2/report", "system.HTML"),
        "evaluation": artifact("s3://b/run/2/evaluation", "tfx.ModelEvaluation"),
    }
    translated = translate(
        {"inputs": {}, "outputs": {"artifacts": outputs, "outputFile": "/tmp/output_metadata.json"}},
        inputs={},
        run_parameters=[],
        mounts="/",
        in_place=True,
    )["outputs"]
    places = {key: found["artifacts"][0]["uri"] for key, found in translated["artifacts"].items()}
    assert places == {"report": "/s3/b/run/2/report", "evaluation": "s3://b/run/2/evaluation"}
    assert translated["outputFile"] == "s3://b/run/2/.executor/output_metadata.json"


def test_the_nodes_that_use_beam_are_told_and_no_others() -> None:
    config = load_config(DIGITS, overrides=[ELSEWHERE, "kubeflow.pipeline_root=s3://b/r"])
    specification = next(iter(_documents(render_pipeline(config))))
    told = {}
    for name, executor in specification["deploymentSpec"]["executors"].items():
        args = executor["container"]["args"]
        if "--beam" in args:
            told[name.removeprefix("exec-")] = json.loads(args[args.index("--beam") + 1])
    assert set(told) == {"ExampleGen", "StatisticsGen", "Transform", "TeacherPredictions", "Evaluator"}
    assert told["Transform"]["flink"]["job_server"] == "flink:8099"


def test_more_workers_in_the_pod_are_told_too() -> None:
    config = load_config(DIGITS, overrides=["kubeflow.beam={direct: {workers: 4}}"])
    executors = next(iter(_documents(render_pipeline(config))))["deploymentSpec"]["executors"]
    args = executors["exec-Transform"]["container"]["args"]
    assert json.loads(args[args.index("--beam") + 1]) == {"direct": {"workers": 4}}


def test_every_node_whose_executor_uses_beam_is_known() -> None:
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

    from pipeline.graph import create_pipeline

    graph = create_pipeline(load_config(DIGITS), root="/r", push_directory="/p")
    for node in graph.components:
        assert isinstance(node.executor_spec, BeamExecutorSpec) == uses_beam(node.id), node.id


def test_workers_that_cannot_reach_the_artifacts_are_refused() -> None:
    with pytest.raises(InputError, match=r"kubeflow.beam: the workers of flink .* is not given; give it"):
        render_pipeline(load_config(DIGITS, overrides=[ELSEWHERE]))
    with pytest.raises(InputError, match=r"pipeline_root is minio://b/r; give it a place that begins with"):
        render_pipeline(load_config(DIGITS, overrides=[ELSEWHERE, "kubeflow.pipeline_root=minio://b/r"]))
    with pytest.raises(ConfigError, match=r"beam.flink.workers: loopback is the pod of the node"):
        load_config(DIGITS, overrides=["kubeflow.beam={engine: flink, flink: {job_server: 'flink:8099'}}"])


def _documents(text: str) -> Iterator[Any]:
    import yaml

    yield from yaml.safe_load_all(text)
