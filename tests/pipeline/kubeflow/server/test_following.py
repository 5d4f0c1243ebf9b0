import json
import pathlib

import pytest

from pipeline.events import NodeFailed, NodeFinished, NodeStarted, RunFailed, RunFinished
from pipeline.kubeflow.server.connection import ServerError, UnreachableError
from pipeline.kubeflow.server.following import follow
from pipeline.kubeflow.server.versions import experiment_id, start_run, upload

TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"
NODES = ("ExampleGen", "Teacher")
ALL_NODES = (
    *("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Teacher", "Scratch"),
    *("TeacherPredictions", "Distiller-distilled", "Evaluator", "Pusher"),
)
RECORDED = pathlib.Path(__file__).parent / "recorded"


def read(name):
    """An answer of a live KFP 2.17.0; see `recorded/README.md`."""
    return json.loads((RECORDED / name).read_text())


def moment(seconds):
    return f"2026-11-22T05:{seconds // 60:02}:{seconds % 60:02}Z"


def task(name, state, *, start=0, seconds=0, error=None, history=(), pods=()):
    """A task as the server describes it; it leaves out what it does not know."""
    detail = {"display_name": name, "state": state, "start_time": moment(start)}
    if seconds:
        detail["end_time"] = moment(start + seconds)
    if pods:
        detail["child_tasks"] = [{"pod_name": pod} for pod in pods]
    if error:
        detail["error"] = {"code": 2, "message": error}
    if history:
        detail["state_history"] = [{"state": state, "error": {"message": text}} for text in history]
    return detail


def ran(name, state, *, start=0, seconds, **about):
    """A node of a single container, and that container; the node ends some seconds after it."""
    return (
        task(name, state, start=start, seconds=seconds + 10, **about),
        task("executor(0)", state, start=start, seconds=seconds),
    )


def run(state, *tasks, error=None):
    answer = {"state": state, "run_details": {"task_details": list(tasks)}}
    return answer | ({"error": {"message": error}} if error else {})


@pytest.fixture
def events(stub, server):
    """Follows a run that goes through the given states, one at each look."""

    def events_(*progress, nodes=NODES, wait=lambda: None):
        version = upload(server, pipeline="digits", text=TEXT)
        made = start_run(
            server,
            version=version,
            experiment_id=experiment_id(server, "digits"),
            parameters={},
            pipeline_root=None,
            service_account=None,
        )
        stub.progress = list(progress)
        return list(follow(server, made.run_id, nodes=nodes, wait=wait))

    return events_


def test_nodes_are_followed_from_their_driver_to_their_end(events):
    waits = []
    seen = events(
        {"state": "PENDING"},
        run("RUNNING", task("root-driver", "SUCCEEDED"), task("ExampleGen-driver", "PENDING")),
        run("RUNNING", task("ExampleGen-driver", "RUNNING")),
        run("RUNNING", task("ExampleGen-driver", "SUCCEEDED"), task("ExampleGen", "PENDING")),
        run("RUNNING", task("ExampleGen-driver", "SUCCEEDED"), task("ExampleGen", "RUNNING")),
        run(
            "RUNNING",
            task("ExampleGen-driver", "SUCCEEDED"),
            *ran("ExampleGen", "SUCCEEDED", seconds=75),
            task("executor", "SUCCEEDED", seconds=85),
            task("Teacher-driver", "RUNNING"),
        ),
        run(
            "SUCCEEDED",
            *ran("ExampleGen", "SUCCEEDED", seconds=75),
            *ran("Teacher", "SUCCEEDED", start=100, seconds=600),
        ),
        wait=lambda: waits.append(None),
    )
    assert seen == [
        NodeStarted("ExampleGen"),
        NodeFinished("ExampleGen", "completed", 75.0),
        NodeStarted("Teacher"),
        NodeFinished("Teacher", "completed", 600.0),
        RunFinished(),
    ]
    assert len(waits) == 6


def test_run_that_is_over_at_the_first_look(events):
    assert events(run("SUCCEEDED", *ran("ExampleGen", "SUCCEEDED", seconds=1))) == [
        NodeStarted("ExampleGen"),
        NodeFinished("ExampleGen", "completed", 1.0),
        RunFinished(),
    ]


def test_recorded_run_from_its_first_to_its_last_node(events):
    seen = events(read("run_succeeded.json"), nodes=ALL_NODES)
    assert [event.node for event in seen if isinstance(event, NodeStarted)] == list(ALL_NODES)
    finished = {event.node: event for event in seen if isinstance(event, NodeFinished)}
    assert {event.state for event in finished.values()} == {"completed"}
    # From the start of the node's first container to the end of its last, by the clock of the recording.
    assert finished["ExampleGen"].seconds == 28  # 15:46:32 to 15:47:00.
    assert finished["Teacher"].seconds == 47  # 15:49:50 to 15:50:37, beside Scratch.
    assert finished["Pusher"].seconds == 17  # 15:53:05 to 15:53:22.
    assert seen[-1] == RunFinished(None)


def test_recorded_training_in_a_pod_that_was_deleted_counts_up_to_its_second_container(events):
    seen = events(read("run_pod_deleted_and_retried.json"), nodes=ALL_NODES)
    seconds = {event.node: event.seconds for event in seen if isinstance(event, NodeFinished)}
    assert seconds["Teacher"] == 299  # 15:57:48 to 16:02:47, whereas its first container ended at 15:58:59.
    assert seconds["Scratch"] == 41  # 15:57:49 to 15:58:30, beside the teacher.


def test_recorded_driver_that_failed_is_not_taken_for_its_node(stub, events):
    reason = "KFP driver: driver.Container(...) failed: connection refused"
    stub.logs = {"photos-volume-lmz64-3497031814": f"F1124 16:07:29.000001      16 main.go:113] {reason}\n"}
    *_, failed, last = events(read("run_pod_deleted_and_retried.json"), nodes=ALL_NODES)
    assert failed == NodeFailed("Pusher", 47.0)  # 16:07:09 to 16:07:56.
    assert last.message.startswith(f"Kubeflow's driver of Pusher failed: {reason}; see ")


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (
            "failed_bad_data",
            "ExampleGen failed: data.path: got '/data/nowhere', which does not exist; "
            "give a folder of images; see ",
        ),
        (
            "failed_upload",
            'ExampleGen failed: failed to execute component: failed to upload output artifact "examples" to '
            'remote storage URI "minio://mlpipeline/v2/artifacts/digits/',
        ),
    ],
)
def test_recorded_failure_is_told_with_its_reason(stub, events, recording, reason):
    logs = read(f"logs_{recording}.json")
    stub.logs = {pod: answer["log"] for pod, answer in logs.items()}
    answer = read(f"run_{recording}.json")
    *_, failed, last = events(answer, nodes=ALL_NODES)
    assert failed.node == "ExampleGen"
    assert failed.seconds < 20  # The minute of backoff after it is not counted.
    assert last.message.startswith(reason)
    assert len(last.message) < 700


def test_only_the_log_of_the_task_of_the_node_is_read(stub, events):
    logs = read("logs_failed_bad_data.json")
    stub.logs = {pod: answer["log"] for pod, answer in logs.items()}
    events(read("run_failed_bad_data.json"), nodes=ALL_NODES)
    asked = {request.path.split("/")[-2] for request in stub.asked("GET", "/log")}
    assert asked == {"photos-vgxlg-2562111424"}


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (
            run("FAILED", *ran("Teacher", "FAILED", seconds=5, error="out of memory\nat somewhere")),
            "Teacher failed: out of memory; see ",
        ),
        (
            run("FAILED", *ran("Teacher", "FAILED", seconds=5, history=["", "killed"])),
            "Teacher failed: killed; see ",
        ),
        (
            run("FAILED", *ran("Teacher", "FAILED", seconds=5), error="it went wrong"),
            "Teacher failed: it went wrong; see ",
        ),
        (run("FAILED", *ran("Teacher", "FAILED", seconds=5)), "Teacher failed; see "),
        (
            run("FAILED", task("Teacher-driver", "FAILED", seconds=5, error="no such secret")),
            "Kubeflow's driver of Teacher failed: no such secret; see ",
        ),
    ],
)
def test_failure_names_its_node_and_the_reason(stub, events, failed, reason):
    assert events(run("RUNNING", task("Teacher", "RUNNING")), failed) == [
        NodeStarted("Teacher"),
        NodeFailed("Teacher", 5.0),
        RunFailed(f"{reason}{stub.url}/#/runs/details/run_id-1", is_input_error=False),
    ]


# As the launcher of KFP 2.17 writes it.
LOG = """\
I1122 05:00:00.000001      30 launcher_v2.go:90] ExecutorInput: "uri": "minio://b/run/Teacher/7ebc/model"
2026-11-22 05:00:03,120 INFO absl: Training 'Teacher'.
{last}
E1122 05:00:09.000001      30 launcher_v2.go:449] Component failed to execute successfully: {how}
I1122 05:00:09.000001      30 launcher_v2.go:867] Executing uploadOutputArtifacts attempt: 1
F1122 05:00:09.000002      30 main.go:130] failed to execute component: {how}
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            LOG.format(last="epochs: got 0; give 1 or more.", how="exit status 2"),
            ": epochs: got 0; give 1 or more",
        ),
        (LOG.format(last="", how="signal: killed"), ": failed to execute component: signal: killed"),
        (
            LOG.format(last="Epoch 3/20", how="signal: killed"),
            ": failed to execute component: signal: killed",
        ),
        (
            LOG.format(last="I0000 00:00:1764082000.123456      30 gpu.cc:1] x", how="exit status 1"),
            ": failed to execute component: exit status 1",
        ),
        ("", ""),
        ("\n", ""),
        ("Teacher/\n  }}\n}}\n", ""),
    ],
    ids=["sentence", "killed", "killed in the middle", "TensorFlow's own", "empty", "blank", "driver"],
)
def test_reason_that_the_server_does_not_tell_is_taken_from_the_log(stub, events, log, reason):
    stub.logs = {"pod-1": log}
    *_, last = events(run("FAILED", task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message == f"Teacher failed{reason}; see {stub.url}/#/runs/details/run_id-1"


def test_log_of_another_node_is_not_taken_for_that_of_this_one(stub, events):
    stub.logs = {"pod-1": LOG.format(last="of the teacher", how="exit status 1")}
    *_, last = events(run("FAILED", task("ExampleGen", "FAILED", pods=["pod-1"])))
    assert last.message == f"ExampleGen failed; see {stub.url}/#/runs/details/run_id-1"


def test_each_of_several_failed_nodes_has_its_reason(stub, events):
    log = LOG.format(last="too few images.", how="exit status 2").replace("Teacher", "ExampleGen")
    stub.logs = {"pod-1": log, "pod-2": LOG.format(last="", how="signal: killed")}
    *_, last = events(
        run(
            "FAILED",
            task("ExampleGen", "FAILED", pods=["pod-1"]),
            task("Teacher", "FAILED", pods=["pod-2"]),
        )
    )
    assert last.message == (
        "ExampleGen failed: too few images; Teacher failed: failed to execute component: signal: killed; "
        f"see {stub.url}/#/runs/details/run_id-1"
    )


@pytest.mark.parametrize("fault", [500, "reset", "page"], ids=str)
def test_log_that_cannot_be_had_is_done_without(stub, events, fault):
    stub.logs = {"pod-1": LOG.format(last="mine", how="exit status 2")}
    stub.fail("GET", "/log", *[fault] * 20)  # A broken connection is urllib3's to try again, too.
    *_, last = events(run("FAILED", task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message == f"Teacher failed; see {stub.url}/#/runs/details/run_id-1"


@pytest.mark.parametrize("fault", [503, "reset"], ids=str)
def test_log_is_asked_for_again(stub, events, fault):
    stub.logs = {"pod-1": LOG.format(last="mine", how="exit status 2")}
    stub.fail("GET", "/log", fault)
    *_, last = events(run("FAILED", task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message.startswith("Teacher failed: mine; see ")


def test_node_that_started_no_container_came_from_the_cache(events):
    seen = events(
        run(
            "SUCCEEDED",
            *ran("Teacher", "SUCCEEDED", start=60, seconds=20),
            task("ExampleGen", "SUCCEEDED", start=50) | {"end_time": moment(50)},
        )
    )
    assert [event for event in seen if isinstance(event, NodeFinished)] == [
        NodeFinished("ExampleGen", "cached", 0.0),
        NodeFinished("Teacher", "completed", 20.0),
    ]


def test_container_that_would_not_be_made_again_is_one_too(events):
    """Where nothing is tried again, Argo has no `executor(0)`: the container is `executor` itself."""
    seen = events(
        run(
            "SUCCEEDED",
            task("Teacher", "SUCCEEDED", start=60, seconds=30),
            task("executor", "SUCCEEDED", start=60, seconds=20),
            task("ExampleGen", "SUCCEEDED", start=50) | {"end_time": moment(50)},
            task("executor", "SKIPPED", start=50) | {"end_time": moment(50)},
        )
    )
    assert [event for event in seen if isinstance(event, NodeFinished)] == [
        NodeFinished("ExampleGen", "cached", 0.0),
        NodeFinished("Teacher", "completed", 20.0),
    ]


def test_run_that_a_person_terminated_is_not_told_as_a_failed_node(events):
    answer = run("FAILED", *ran("Teacher", "FAILED", seconds=5))
    history = [{"state": state} for state in ("PENDING", "RUNNING", "CANCELING", "FAILED")]
    *_, last = events(answer | {"state_history": history})
    assert last.message.startswith("the run was terminated; see ")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (run("FAILED", error="invalid spec"), "the run failed: invalid spec; see "),
        ({"state": "FAILED"}, "the run failed; see "),
        (run("CANCELED", task("ExampleGen", "FAILED")), "the run was terminated; see "),
    ],
)
def test_run_that_ends_without_a_node_to_blame(events, answer, message):
    *_, last = events(answer)
    assert isinstance(last, RunFailed)
    assert last.message.startswith(message)


def test_run_goes_on_while_the_server_is_away(stub, events):
    waits = []

    def wait():
        waits.append(None)
        if len(waits) == 1:
            stub.stop()
        if len(waits) == 4:
            stub.start()

    seen = events({"state": "RUNNING"}, run("SUCCEEDED"), wait=wait)
    assert seen == [RunFinished()]
    assert len(waits) == 4


def test_server_that_stays_away_ends_it(stub, events):
    with pytest.raises(UnreachableError, match=r"cannot follow the run: .* cannot be reached"):
        events({"state": "RUNNING"}, wait=stub.stop)


def test_server_that_throws_us_out_ends_it_at_once(stub, events):
    stub.fail("GET", "/runs/run_id-1", 401, message="token expired")
    with pytest.raises(ServerError, match=r"does not know you \(401: token expired\)"):
        events({"state": "RUNNING"})
    assert len(stub.asked("GET", "/runs/run_id-1")) == 1
