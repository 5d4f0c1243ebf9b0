import functools
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from components.errors import InputError
from pipeline.beam.operator import Engine
from pipeline.config.beam import BeamSettings
from pipeline.config.loading import load_config
from pipeline.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeShards,
    NodeStarted,
    RunFinished,
)
from pipeline.local.background import NodeError
from pipeline.local.run import run_pipeline, running, running_in
from pipeline.local.workspace import Workspace, WorkspaceBusyError, locked

HERE = pathlib.Path(__file__).parent
DIRECT = Engine(settings=BeamSettings(), root="")
DIGITS = HERE.parents[2] / "configs" / "digits.yaml"
VGG16 = (
    "{architecture: keras.applications.VGG16, weights: imagenet, epochs: 1, batch_size: 8,"
    " learning_rate: 0.1}"
)
TRAINED = "epochs: 1, batch_size: 8, learning_rate: 0.1"


@pytest.fixture
def create_pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Callable[..., object]:
    """Builds the example pipeline, whose sink fails with `fault`, in a directory of the test."""
    monkeypatch.syspath_prepend(HERE)
    import example_graph

    return functools.partial(example_graph.create_pipeline, str(tmp_path))


def describe(event: Event) -> tuple[str, str]:
    """Reduces an event to its node and what became of it, which do not vary as the seconds do."""
    match event:
        case NodeFinished(node, state):
            return node, state
        case NodeStarted(node):
            return node, "started"
        case NodeFailed(node):
            return node, "failed"
        case NodeProgress(node):
            return node, "progress"
        case NodeShards(node, number, total):
            return node, f"{number} of {total}"
    raise TypeError(event)


@pytest.mark.parametrize("orchestrator", ["local", "beam"])
def test_nodes_report_and_the_second_run_is_cached(create_pipeline, orchestrator):
    events: list[Event] = []
    nodes = run_pipeline(
        functools.partial(create_pipeline, fault=""),
        orchestrator=orchestrator,
        engine=DIRECT,
        report=events.append,
    )
    assert [describe(event) for event in events] == [
        ("Source", "started"),
        ("Source", "progress"),
        ("Source", "1 of 2"),
        ("Source", "completed"),
        ("Sink", "started"),
        ("Sink", "completed"),
    ]
    assert events[1] == NodeProgress(
        "Source", epoch=2, epochs=3, step=4, steps=5, loss=0.5, accuracy=0.75, seconds_left=6.0
    )
    assert {node: record["state"] for node, record in nodes.items()} == {
        "Source": "completed",
        "Sink": "completed",
    }
    assert nodes["Sink"]["seconds"] == events[-1].seconds > 0

    nodes = run_pipeline(
        functools.partial(create_pipeline, fault=""),
        orchestrator=orchestrator,
        engine=DIRECT,
        report=events.append,
    )
    assert {node: record["state"] for node, record in nodes.items()} == {"Source": "cached", "Sink": "cached"}


@pytest.mark.parametrize("orchestrator", ["local", "beam"])
def test_input_error_of_a_node_arrives_as_it_was_raised(create_pipeline, orchestrator):
    events: list[Event] = []
    with pytest.raises(InputError, match=r"^The image 'a.jpg' is not readable\.$"):
        run_pipeline(
            functools.partial(create_pipeline, fault="input"),
            orchestrator=orchestrator,
            engine=DIRECT,
            report=events.append,
        )
    assert [describe(event) for event in events[-2:]] == [("Sink", "started"), ("Sink", "failed")]


@pytest.mark.parametrize("orchestrator", ["local", "beam"])
def test_fault_of_a_node_carries_node_and_cause(create_pipeline, orchestrator):
    with pytest.raises(NodeError) as caught:
        run_pipeline(
            functools.partial(create_pipeline, fault="bug"),
            orchestrator=orchestrator,
            engine=DIRECT,
            report=lambda event: None,
        )
    assert caught.value.node == "Sink"
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("orchestrator", ["local", "beam"])
def test_failed_node_runs_again_and_the_others_are_cached(create_pipeline, orchestrator):
    """A failed or interrupted node leaves nothing that a later run takes for complete."""
    with pytest.raises(NodeError):
        run_pipeline(
            functools.partial(create_pipeline, fault="bug"),
            orchestrator=orchestrator,
            engine=DIRECT,
            report=lambda event: None,
        )
    nodes = run_pipeline(
        functools.partial(create_pipeline, fault=""),
        orchestrator=orchestrator,
        engine=DIRECT,
        report=lambda event: None,
    )
    assert {node: record["state"] for node, record in nodes.items()} == {
        "Source": "cached",
        "Sink": "completed",
    }


@pytest.mark.parametrize("orchestrator", ["local", "beam"])
def test_node_without_input_stops_the_run(create_pipeline, orchestrator):
    """TFX's own launcher goes on as if nothing had happened."""
    events: list[Event] = []
    with pytest.raises(NodeError) as caught:
        run_pipeline(
            functools.partial(create_pipeline, fault="no input"),
            orchestrator=orchestrator,
            engine=DIRECT,
            report=events.append,
        )
    assert str(caught.value.__cause__) == "TFX found no input for it"
    assert [describe(event) for event in events] == [("Sink", "started"), ("Sink", "failed")]


def test_workspace_is_made_and_the_log_is_headed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    import example_tasks

    workspace = Workspace(tmp_path / "runs" / "deep")
    title = "digits, orchestrated by local"
    with locked(workspace), running_in(workspace, task=example_tasks.chatter, title=title) as events:
        assert isinstance(list(events)[-1], RunFinished)
    assert " digits, orchestrated by local\n" in workspace.log.read_text()


def test_two_runs_never_share_a_workspace(tmp_path):
    workspace = Workspace(tmp_path)
    second = running(load_config(DIGITS), workspace=workspace)
    with locked(workspace), pytest.raises(WorkspaceBusyError, match="Another run is using the workspace"):
        second.__enter__()


def test_a_workspace_is_free_again_once_its_holder_is_killed(tmp_path):
    workspace = Workspace(tmp_path)
    program = (
        "import pathlib, signal\n"
        "from pipeline.local.workspace import Workspace, locked\n"
        f"with locked(Workspace(pathlib.Path({str(tmp_path)!r}))):\n"
        "    print('locked', flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(WorkspaceBusyError):
            locked(workspace).__enter__()
        holder.kill()
    with locked(workspace):
        pass


@pytest.mark.parametrize("place", ["/proc/workspace", "file", "file/below"])
def test_workspace_that_cannot_be_written_is_refused(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^The workspace \S+ cannot be written \(.+\); choose another"):
        running(load_config(DIGITS), workspace=Workspace(tmp_path / place)).__enter__()


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("teacher={from: nowhere.keras}", "The teacher nowhere.keras does not exist"),
        ("teacher=[{from: nowhere.keras}, {from: nowhere}]", "The teacher nowhere.keras does not exist"),
        ("teacher={from: nowhere.onnx}", "The teacher nowhere.onnx does not exist; give a .onnx file"),
        ("teacher={predictions: nowhere.npz}", "teacher.predictions nowhere.npz is no file; give a"),
        (f"teacher={VGG16}", "teacher.weights 'imagenet' is no file, and nothing is downloaded"),
        (f"student={{from: nowhere.keras, {TRAINED}}}", "student.from nowhere.keras does not exist; give a"),
        (f"student={{from: README.md, {TRAINED}}}", "student.from README.md is no .keras file"),
        (f"student={VGG16}", "student.weights 'imagenet' is no file, and nothing is downloaded"),
    ],
)
def test_the_files_of_models_are_checked_before_anything_is_made(models, message, tmp_path):
    config = load_config(DIGITS, overrides=[models])
    with pytest.raises(InputError, match=message):
        running(config, workspace=Workspace(tmp_path / "runs")).__enter__()
    assert not (tmp_path / "runs").exists()


def test_data_are_checked_before_anything_is_made(tmp_path):
    overrides = [f"data={{source: image_folder, path: {tmp_path / 'nowhere'}}}"]
    config = load_config(DIGITS, overrides=overrides)
    with pytest.raises(InputError, match="nowhere"):
        running(config, workspace=Workspace(tmp_path / "runs")).__enter__()
    assert not (tmp_path / "runs").exists()
