"""The Pusher of the committed pipeline, started as KFP's launcher does; what ships is in an object store."""

import json
import pathlib
from typing import Any

import pytest
import yaml
from handed_over import EXAMPLE, given, write_student

from components.serving.versions import Origin, Versions
from pipeline.kubeflow.entrypoint import run
from pipeline.kubeflow.ledger_line import find_run
from pipeline.retraining.ledger import Ledger, Tick

TESTS = pathlib.Path(__file__).parents[2]
RUN = "c48c7537-cfc8-4a4a-814c-dd045baf9ada"
OUTPUT = f"minio://mlpipeline/v2/artifacts/digits/{RUN}/Pusher/a4963ae8/pushed_model"


@pytest.fixture(scope="session")
def arguments() -> list[str]:
    """The command line of the Pusher, as it is compiled."""
    specification = next(yaml.safe_load_all((TESTS.parent / "pipeline.yaml").read_text()))
    compiled = specification["deploymentSpec"]["executors"]["exec-Pusher"]["container"]
    return compiled["args"]


@pytest.fixture
def push(arguments: list[str], bucket: str, tmp_path: pathlib.Path) -> Any:
    """Runs the Pusher on a student that was compared with a version; returns what it notes in the ledger."""

    def start(weights: bytes, *, compared_with: str, blessed: bool = True, run_id: str = RUN) -> Tick:
        write_student(tmp_path, weights, compared_with=compared_with)
        invocation = {
            "inputs": {
                "artifacts": {
                    "model": given("model"),
                    "evaluation": given("evaluation"),
                    "model_blessing": given("blessing", blessed=int(blessed)),
                },
                "parameterValues": {
                    "push": json.dumps({"directory": "/tmp/pushed", "keep": None}),
                    "push_directory": bucket,
                    "incumbent": "",
                    "incumbent_version": compared_with,
                    "run": "",
                    "tick": began(run_id).to_line(),
                },
            },
            "outputs": {
                "artifacts": {
                    "pushed_model": {
                        "artifacts": [
                            {
                                "uri": OUTPUT.replace(RUN, run_id),
                                "type": {"instanceSchema": "title: tfx.PushedModel\n"},
                            }
                        ]
                    }
                },
                "outputFile": str(tmp_path / "outputs/output_metadata.json"),
            },
        }
        command = [json.dumps(invocation) if each == "{{$}}" else each for each in arguments]
        code = run([*command, "--mounts", str(tmp_path)])
        tick = Ledger(bucket, "digits").ticks()[-1]
        assert code == (2 if tick.outcome == "stopped" else 0)
        return tick

    return start


def began(run_id: str) -> Tick:
    """What Look has noted of a run."""
    return Tick(
        run=run_id,
        experiment="digits",
        began="2026-11-22T03:00:00+00:00",
        data="d",
        code="c",
        configuration="s",
        spans=("7", "8/2"),
        seen={"data_fingerprint": "d"},
    )


def test_what_became_of_a_run_is_noted_beside_the_versions(push: Any, bucket: str) -> None:
    versions = Versions(bucket)
    evaluation = json.loads(EXAMPLE.read_text())

    pushed = push(b"one", compared_with="none")
    (first,) = versions.history()
    same = push(b"one", compared_with=first.version, run_id="the-next")
    refused = push(b"two", compared_with=first.version, blessed=False, run_id="the-last")
    again = push(b"two", compared_with=first.version, blessed=False, run_id="another")

    assert (pushed.run, pushed.experiment, pushed.outcome) == (RUN, "digits", "pushed")
    assert (pushed.version, first.run) == (first.version, RUN)
    assert pushed.reason == evaluation["verdict"]
    assert pushed.as_it_began() == began(RUN)
    assert pushed.ended is not None
    assert pushed.student == evaluation["models"][evaluation["candidate"]]["accuracy"]
    assert (same.run, same.outcome, same.version) == ("the-next", "nothing new", None)
    assert (refused.outcome, refused.version) == ("refused", versions.history()[-1].version)
    assert (again.outcome, again.version) == ("refused", refused.version)
    assert [entry.event for entry in versions.history()] == ["pushed", "refused", "refused"]
    assert versions.shipping() == first.version
    assert versions.whole() == [first.version]


def test_who_was_overtaken_is_not_pushed_and_says_so(
    push: Any, bucket: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/saved_model.pb").touch()
    other = Versions(bucket).push(tmp_path / "other", origin=Origin(reason="of another run")).version

    overtaken = push(b"late", compared_with="none")
    again = push(b"late", compared_with=other)

    assert overtaken.outcome == "stopped"
    assert overtaken.reason.startswith(
        f"The student was compared with none, but version {other} ships by now; run again"
    )
    assert overtaken.reason in capsys.readouterr().err
    assert (overtaken.student, overtaken.spans, overtaken.seen) == (None, ("7", "8/2"), began(RUN).seen)
    assert again.outcome == "pushed"
    assert Versions(bucket).whole() == [other, again.version]


def test_a_run_is_known_by_where_its_outputs_go() -> None:
    def outputs(**artifacts: str) -> Any:
        return {
            "outputs": {"artifacts": {key: {"artifacts": [{"uri": uri}]} for key, uri in artifacts.items()}}
        }

    assert find_run(outputs(pushed_model=OUTPUT)) == RUN
    assert find_run(outputs(pushed_model="minio://bucket/elsewhere")) == ""
    assert find_run(outputs(news="minio://b/digits/7/Look/1/news")) == "7"
    assert find_run(outputs(model="minio://b/digits/7/Evaluator/1/model")) == ""
