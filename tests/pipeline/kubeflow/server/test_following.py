import pytest

from pipeline.events import NodeFailed, NodeFinished, NodeStarted, RunFailed, RunFinished
from pipeline.kubeflow.server.connection import ServerError, UnreachableError
from pipeline.kubeflow.server.following import follow
from pipeline.kubeflow.server.versions import experiment_id, start_run, upload

TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"
NODES = ("ExampleGen", "Teacher")


def task(name, state, *, seconds=0, error=None, history=(), pods=()):
    """A task as the server describes it; it leaves out what it does not know."""
    detail = {"display_name": name, "state": state, "start_time": "2026-11-22T05:00:00Z"}
    if seconds:
        detail["end_time"] = f"2026-11-22T05:{seconds // 60:02}:{seconds % 60:02}Z"
    if pods:
        detail["child_tasks"] = [{"pod_name": pod} for pod in pods]
    if error:
        detail["error"] = {"code": 2, "message": error}
    if history:
        detail["state_history"] = [{"state": state, "error": {"message": text}} for text in history]
    return detail


def run(state, *tasks, error=None):
    answer = {"state": state, "run_details": {"task_details": list(tasks)}}
    return answer | ({"error": {"message": error}} if error else {})


@pytest.fixture
def events(stub, server):
    """Follows a run that goes through the given states, one at each look."""

    def events_(*progress, wait=lambda: None):
        version = upload(server, pipeline="digits", text=TEXT)
        made = start_run(
            server,
            version=version,
            experiment_id=experiment_id(server, "digits"),
            parameters={},
            service_account=None,
        )
        stub.progress = list(progress)
        return list(follow(server, made.run_id, nodes=NODES, wait=wait))

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
            task("ExampleGen", "SUCCEEDED", seconds=75),
            task("executor", "SUCCEEDED", seconds=70),
            task("Teacher-driver", "RUNNING"),
        ),
        run(
            "SUCCEEDED",
            task("ExampleGen", "SUCCEEDED", seconds=75),
            task("Teacher", "SUCCEEDED", seconds=600),
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
    assert events(run("SUCCEEDED", task("ExampleGen", "SUCCEEDED", seconds=1))) == [
        NodeStarted("ExampleGen"),
        NodeFinished("ExampleGen", "completed", 1.0),
        RunFinished(),
    ]


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (
            run("FAILED", task("Teacher", "FAILED", seconds=5, error="out of memory\nat somewhere")),
            "Teacher failed: out of memory; see ",
        ),
        (
            run("FAILED", task("Teacher", "FAILED", seconds=5, history=["", "killed"])),
            "Teacher failed: killed; see ",
        ),
        (
            run("FAILED", task("Teacher", "FAILED", seconds=5), error="it went wrong"),
            "Teacher failed: it went wrong; see ",
        ),
        (run("FAILED", task("Teacher", "FAILED", seconds=5)), "Teacher failed; see "),
        (
            run("FAILED", task("Teacher-driver", "FAILED", seconds=5, error="no such secret")),
            "Teacher failed: no such secret; see ",
        ),
    ],
)
def test_failure_names_its_node_and_the_reason(stub, events, failed, reason):
    assert events(run("RUNNING", task("Teacher", "RUNNING")), failed) == [
        NodeStarted("Teacher"),
        NodeFailed("Teacher", 5.0),
        RunFailed(f"{reason}{stub.url}/#/runs/details/run_id-1", is_input_error=False),
    ]


LOG = """\
I1122 05:00:00.000001      30 launcher_v2.go:90] input ComponentSpec
2026-11-22 05:00:03,120 INFO absl: Training 'Teacher'.
{last}
F1122 05:00:09.000002      30 main.go:52] failed to execute component: exit status 2
time="2026-11-22T05:00:09.500Z" level=info msg="sub-process exited" argo=true
Error: exit status 2
"""


def test_reason_that_the_server_does_not_tell_is_taken_from_the_log(stub, events):
    stub.logs = {"pod-2": LOG.format(last="data.path '/data': no such directory; mount a volume there.")}
    *_, last = events(
        run(
            "FAILED",
            task("Teacher", "FAILED", pods=["retries-of-some-task"]),
            task("executor", "FAILED", pods=["pod-1", "pod-2"]),
            task("ExampleGen", "SUCCEEDED", pods=["pod-0"]),
        )
    )
    page = f"{stub.url}/#/runs/details/run_id-1"
    assert last.message == (
        f"Teacher failed: data.path '/data': no such directory; mount a volume there; see {page}"
    )


@pytest.mark.parametrize("log", [LOG.format(last=""), "", "\n"], ids=["killed", "empty", "blank"])
def test_log_without_last_words_gives_no_reason(stub, events, log):
    stub.logs = {"pod-1": log}
    *_, last = events(run("FAILED", task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message == f"Teacher failed; see {stub.url}/#/runs/details/run_id-1"


def test_log_of_one_of_several_failed_nodes_is_not_taken_for_another_s(stub, events):
    stub.logs = {"pod-1": LOG.format(last="mine")}
    *_, last = events(run("FAILED", task("ExampleGen", "FAILED"), task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message == f"ExampleGen failed; see {stub.url}/#/runs/details/run_id-1"


@pytest.mark.parametrize("fault", [500, "reset", "page"], ids=str)
def test_log_that_cannot_be_had_is_done_without(stub, events, fault):
    stub.logs = {"pod-1": LOG.format(last="mine")}
    stub.fail("GET", "/log", *[fault] * 5)
    *_, last = events(run("FAILED", task("Teacher", "FAILED", pods=["pod-1"])))
    assert last.message == f"Teacher failed; see {stub.url}/#/runs/details/run_id-1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (run("FAILED", error="invalid spec"), "the run failed: invalid spec; see "),
        ({"state": "FAILED"}, "the run failed; see "),
        (run("CANCELED", task("ExampleGen", "FAILED")), "the run was cancelled; see "),
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
