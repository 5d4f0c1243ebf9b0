import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from pipeline.kubeflow.entrypoint import local_path, restore_uris, run, store_uri, translate

EXAMPLE_GEN = "components.example_gen.executor.Executor"
PUSHER = "components.pusher.executor.Executor"
NO_INPUTS = {"parameters": {"data": {"parameterType": "STRING"}, "fingerprint": {"parameterType": "STRING"}}}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://mlpipeline/v2/a", "/minio/mlpipeline/v2/a"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("gs://bucket/a/b", "/gcs/bucket/a/b"),
        ("/data/a", "/data/a"),
    ],
)
def test_an_artifact_is_looked_for_where_the_launcher_puts_it_and_back(uri: str, path: str) -> None:
    assert local_path(uri, mounts="/") == path
    assert store_uri(path, mounts="/") == uri


def test_what_the_launcher_hands_over_becomes_what_tfx_takes() -> None:
    invocation = {
        "inputs": {
            "artifacts": {
                "model": {"artifacts": [{"name": "7", "uri": "minio://b/m", "metadata": {"span": 3.0}}]}
            },
            "parameterValues": {"job": '{"model": {"epochs": 30}}', "student_epochs": 6.0},
        },
        "outputs": {
            "artifacts": {
                "run": {"artifacts": [{"uri": "s3://b/r", "type": {"schemaTitle": "system.Metrics"}}]},
                "executor-logs": {"artifacts": [{"uri": "minio://b/logs"}]},
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }
    model_type = {"instanceSchema": "title: tfx.Model\ntype: object\n"}

    translated = translate(
        invocation,
        inputs={"artifacts": {"model": {"artifactType": model_type}}},
        run_parameters=["job.model.epochs=student_epochs"],
        mounts="/",
    )

    assert translated == {
        "inputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        {"name": "7", "uri": "/minio/b/m", "metadata": {"span": 3.0}, "type": model_type}
                    ]
                }
            },
            "parameterValues": {"job": '{"model": {"epochs": 6}}'},
        },
        "outputs": {
            "artifacts": {
                "run": {"artifacts": [{"uri": "/s3/b/r", "type": {"schemaTitle": "system.Metrics"}}]}
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }


def test_uris_come_back_wherever_they_stand() -> None:
    metadata = {
        "span": 3.0,
        "baseline_model": "/minio/b/m",
        "pushed_destination": "/models/1",
        "notes": ["/s3/b"],
    }
    output = {"artifacts": {"blessing": {"artifacts": [{"uri": "/minio/b/x", "metadata": metadata}]}}}

    restored = restore_uris(output, mounts="/")

    assert restored["artifacts"]["blessing"]["artifacts"] == [
        {
            "uri": "minio://b/x",
            "metadata": metadata | {"baseline_model": "minio://b/m", "notes": ["s3://b"]},
        }
    ]


def arguments(
    tmp_path: pathlib.Path, *, executor: str, values: dict[str, Any], inputs: Any, extra: Any = ()
) -> Any:
    invocation = {
        "inputs": {"parameterValues": values},
        "outputs": {
            "artifacts": {
                "examples": {
                    "artifacts": [
                        {"uri": "minio://b/examples", "type": {"instanceSchema": "title: tfx.Examples\n"}}
                    ]
                }
            },
            "outputFile": str(tmp_path / "outputs" / "output_metadata.json"),
        },
    }
    return [
        *("--executor_class_path", executor, "--json_serialized_invocation_args", json.dumps(invocation)),
        *("--json_serialized_inputs_spec_args", json.dumps(inputs), "--mounts", str(tmp_path), *extra),
    ]


def test_metadata_of_an_artifact_reaches_kubeflow(tmp_path: pathlib.Path) -> None:
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"data": '{"source": "digits"}', "fingerprint": "2026-11-22"},
        inputs=NO_INPUTS,
    )

    assert run(command) == 0

    output = json.loads((tmp_path / "outputs" / "output_metadata.json").read_text())
    (examples,) = output["artifacts"]["examples"]["artifacts"]
    assert examples["uri"] == "minio://b/examples"
    assert json.loads(examples["metadata"]["split_names"]) == ["train", "validation", "test"]
    assert len(list((tmp_path / "minio/b/examples").glob("Split-*"))) == 3


def test_an_error_of_the_user_is_one_line_and_the_last_word(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    termination_log = tmp_path / "termination-log"
    termination_log.touch()
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"data": json.dumps({"source": "image_folder", "path": "/old"}), "data_location": "/nowhere"},
        inputs=NO_INPUTS,
        extra=["--run_parameter", "data.path=data_location"],
    )

    assert run(command, termination_log=termination_log) == 2

    message = termination_log.read_text()
    assert "/nowhere" in message
    assert "\n" not in message
    assert f"{message}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ("8", "/photos/{SPAN}', but span 8 is missing; add images, or name another as data.span."),
        ("soon", "A parameter of the run cannot be used: span: got 'soon'; must be a whole number"),
        ("[[Index]]", "The parameter span of the run is '[[Index]]', as written: "),
    ],
)
def test_a_span_that_cannot_be_had_stops_the_node(tmp_path: pathlib.Path, span: str, message: str) -> None:
    (tmp_path / "termination-log").touch()
    (tmp_path / "photos/7/cat").mkdir(parents=True)
    data = {"source": "image_folder", "path": f"{tmp_path}/photos/{{SPAN}}", "span": None}
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"data": json.dumps(data), "span": span},
        inputs=NO_INPUTS,
        extra=["--run_parameter", "data.span=span"],
    )

    assert run(command, termination_log=tmp_path / "termination-log") == 2

    assert message in (tmp_path / "termination-log").read_text()


def test_a_parameter_of_the_run_that_cannot_be_used_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "termination-log").touch()
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"data": '{"source": "digits", "max_corrupt_fraction": 0.1}', "fraction": 2.0},
        inputs=NO_INPUTS,
        extra=["--run_parameter", "data.max_corrupt_fraction=fraction"],
    )

    assert run(command, termination_log=tmp_path / "termination-log") == 2

    message = (tmp_path / "termination-log").read_text()
    assert message.startswith("A parameter of the run cannot be used: fraction: got 2.0; ")


@pytest.mark.parametrize("given", ["", None])
def test_what_no_parameter_has_set_is_a_fault_of_the_image(tmp_path: pathlib.Path, given: str | None) -> None:
    (tmp_path / "termination-log").touch()
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"data": '{"source": "digits", "max_corrupt_fraction": 2.0}'}
        | ({} if given is None else {"fraction": given}),
        inputs=NO_INPUTS,
        extra=[] if given is None else ["--run_parameter", "data.max_corrupt_fraction=fraction"],
    )

    assert run(command, termination_log=tmp_path / "termination-log") == 2

    message = (tmp_path / "termination-log").read_text()
    assert message.startswith("The image of this node cannot use the configuration: ")
    assert "max_corrupt_fraction: got 2.0; " in message
    assert message.endswith(
        "; build kubeflow.image and kubeflow.gpu_image from the version that compiles it."
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "student_epochs",
            2.5,
            "The parameter student_epochs of the run cannot be used: got 2.5; it must be a whole number; ",
        ),
        (
            "data_location",
            "[[ScheduledTime.2006-01-02]]",
            "The parameter data_location of the run is '[[ScheduledTime.2006-01-02]]', as written: ",
        ),
    ],
)
def test_a_value_that_kubeflow_lets_through_is_refused_by_the_name_of_its_parameter(
    tmp_path: pathlib.Path, name: str, value: Any, message: str
) -> None:
    (tmp_path / "termination-log").touch()
    paths = {"student_epochs": "job.model.epochs", "data_location": "fingerprint"}
    command = arguments(
        tmp_path,
        executor=EXAMPLE_GEN,
        values={"job": '{"model": {"epochs": 30}}', "fingerprint": "", name: value},
        inputs=NO_INPUTS,
        extra=["--run_parameter", f"{paths[name]}={name}"],
    )

    assert run(command, termination_log=tmp_path / "termination-log") == 2

    assert (tmp_path / "termination-log").read_text().startswith(message)


def test_a_fault_of_ours_says_what_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "termination-log").touch()
    command = arguments(tmp_path, executor="components.nowhere.Executor", values={}, inputs=NO_INPUTS)

    assert run(command, termination_log=tmp_path / "termination-log") == 1

    message = (tmp_path / "termination-log").read_text()
    assert message.startswith("internal error: ImportError: Could not import components.nowhere.Executor;")


def test_what_is_wrong_with_a_run_is_said_before_tfx_is_imported(tmp_path: pathlib.Path) -> None:
    command = arguments(
        tmp_path,
        executor=PUSHER,
        values={"push": json.dumps({"directory": "/models"}), "push_directory": "[[RunUUID]]"},
        inputs={},
        extra=["--run_parameter", "push.directory=push_directory"],
    )

    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline.kubeflow.entrypoint", *command],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("import time:")]
    assert len(lines) == 1
    assert lines[0].startswith(
        "The parameter push_directory of the run is '[[RunUUID]]', as written: Kubeflow does not fill it in"
    )
    assert "tensorflow" not in result.stderr
