import pathlib
import re
import socket
import time

import pytest
import yaml
from kfp_stub import Stub

from pipeline.cli import server_commands as commands
from pipeline.config.loading import load_config
from pipeline.kubeflow.server.connection import Patience, ServerError

REPOSITORY = pathlib.Path(__file__).parents[4]
DIGITS = str(REPOSITORY / "configs" / "digits.yaml")
TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"
SECRET = "eyJhbGciOi.c2VjcmV0"


@pytest.fixture(autouse=True)
def environment(monkeypatch, pauses):
    """No host, no credentials, and no waiting."""
    for name in (
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_SA_TOKEN_PATH",
        "DISTILL_KFP_TOKEN",
        "DISTILL_KFP_COOKIES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(commands, "PATIENCE", Patience(connection=20, answer=20, sleep=pauses.append))


@pytest.fixture
def distill(distill):
    """Runs the command line in this process: returns the exit code, standard output and standard error."""

    def distill_(*arguments: str) -> tuple[int, str, str]:
        finished = distill(*arguments)
        return finished.returncode, finished.stdout, finished.stderr

    return distill_


@pytest.fixture
def compiled(monkeypatch):
    """Compiling takes half a minute: all but one test do without. Returns for which roots it was asked."""
    roots = []
    monkeypatch.setattr(commands, "_compile", lambda experiment, image, root: roots.append(root) or TEXT)
    return roots


def test_real_pipeline_is_submitted_as_it_was_committed(stub, distill):
    code, out, errors = distill("submit", DIGITS, "--host", stub.url, "--param", "teacher_epochs=3")
    assert (code, errors) == (0, "")
    sent = stub.asked("POST", "/upload_version")[0].body
    assert sent == (REPOSITORY / "pipeline.yaml").read_text()
    tasks = next(yaml.safe_load_all(sent))["root"]["dag"]["tasks"]
    assert set(tasks) == set(load_config(pathlib.Path(DIGITS)).kubeflow_node_ids)
    assert stub.runs[0]["runtime_config"]["parameters"] == {"teacher_epochs": 3}
    name = stub.versions[0]["display_name"]
    assert re.fullmatch(r"digits-[0-9a-f]{12}", name)
    assert out.splitlines() == [
        "Compiling the pipeline, which can take half a minute.",
        f"Version {name}: uploaded.",
        f"Run {stub.runs[0]['display_name']}: {stub.url}/#/runs/details/run_id-1",
    ]


def test_upload(stub, compiled, distill):
    code, out, _ = distill("upload", DIGITS, "--host", stub.url)
    assert code == 0
    assert out.splitlines()[1:] == [
        f"Version {stub.versions[0]['display_name']}: uploaded.",
        f"{stub.url}/#/pipelines/details/pipeline_id-1/version/pipeline_version_id-1",
    ]
    _, out, _ = distill("upload", DIGITS, "--host", stub.url)
    assert "is there already." in out
    assert (len(stub.versions), len(stub.runs)) == (1, 0)


def test_run_is_followed_node_by_node(stub, compiled, distill, pauses):
    def detail(name, state):
        start, end = "2026-11-22T05:00:00Z", "2026-11-22T05:01:15Z"
        return {"display_name": name, "state": state, "start_time": start, "end_time": end}

    evaluator = detail("Evaluator", "SUCCEEDED") | {"child_tasks": [{"pod_name": "pod-e"}]}
    stub.logs = {
        "pod-e": "I1124 09:00:00.1  14 a.go:1] x\n[result] model   accuracy\n[result]\n[result] Blessed.\n"
        "[result] Report:  minio://bucket/report\n"
    }
    stub.progress = [
        {"state": "RUNNING", "run_details": {"task_details": [detail("ExampleGen-driver", "RUNNING")]}},
        {
            "state": "RUNNING",
            "run_details": {
                "task_details": [detail(name, "SUCCEEDED") for name in ("ExampleGen", "executor(0)")]
            },
        },
        {
            "state": "SUCCEEDED",
            "run_details": {"task_details": [evaluator, detail("executor(0)", "SUCCEEDED")]},
        },
    ]
    code, out, errors = distill("submit", DIGITS, "--host", stub.url, "--wait", "--experiment", "nightly")
    assert (code, errors) == (0, "")
    assert out.splitlines()[3:] == [
        "Waiting for Kubeflow",
        "ExampleGen: running",
        "ExampleGen: completed in 1:15",
        "Evaluator: running",
        "Evaluator: completed in 1:15",
        "",
        "model   accuracy",
        "",
        "Blessed.",
        "Report:  minio://bucket/report",
    ]
    assert stub.experiments[0]["display_name"] == "nightly"
    assert pauses == [5.0, 5.0]


@pytest.mark.parametrize("is_silent", [False, True], ids=["cached Evaluator", "silent server"])
def test_run_that_succeeded_without_a_table_says_where_to_look(
    stub, compiled, distill, is_silent, monkeypatch
):
    def refuse(*_):
        raise ServerError("cannot look at the result")

    if is_silent:  # Between the last look at the run and that at its result.
        monkeypatch.setattr(commands, "read_result", refuse)
    code, out, errors = distill("submit", DIGITS, "--host", stub.url, "--wait")
    assert (code, errors) == (0, "")
    assert out.splitlines()[-2:] == [
        "The run succeeded.",
        f"Report:  the Evaluator's output 'report' at {stub.url}/#/runs/details/run_id-1",
    ]


def test_run_in_which_nothing_was_new_says_so(stub, compiled, distill):
    sentence = "Nothing new: data, code and configuration are those of 2026-11-21T03:00:00+00:00."
    times = {"start_time": "2026-11-22T05:00:00Z", "end_time": "2026-11-22T05:00:20Z"}
    look = {"display_name": "Look", "state": "SUCCEEDED", "child_tasks": [{"pod_name": "pod-l"}]} | times
    container = {"display_name": "executor(0)", "state": "SUCCEEDED"} | times
    others = [
        {"display_name": node, "state": "SUCCEEDED"}
        | dict.fromkeys(("start_time", "end_time"), f"2026-11-22T05:0{minute}:00Z")
        for minute, node in enumerate(("ExampleGen", "Evaluator", "Pusher"), start=1)
    ]
    stub.logs = {"pod-l": f"I1124 09:00:00.1  14 a.go:1] x\n[result] {sentence}\n"}
    stub.progress = [
        {"state": "SUCCEEDED", "run_details": {"task_details": [look, container, *others]}},
    ]
    code, out, errors = distill("submit", DIGITS, "--host", stub.url, "--wait")
    assert (code, errors) == (0, "")
    assert out.splitlines()[3:] == [
        "Waiting for Kubeflow",
        "Look: running",
        "Look: completed in 0:20",
        *(
            f"{node}: {state}"
            for node in ("ExampleGen", "Evaluator", "Pusher")
            for state in ("running", "cached")
        ),
        "",
        sentence,
    ]


def test_root_of_the_artifacts_goes_with_the_run_and_the_schedule(stub, compiled, distill):
    root = ("--pipeline-root", "s3://bucket/runs")
    assert distill("submit", DIGITS, "--host", stub.url, *root)[0] == 0
    assert distill("submit", DIGITS, "--host", stub.url)[0] == 0
    assert [run["runtime_config"].get("pipeline_root") for run in stub.runs] == ["s3://bucket/runs", None]
    assert len(stub.versions) == 1
    cron = ("--cron", "0 3 * * *")
    distill("schedule", DIGITS, "--host", stub.url, *cron)
    _, out, _ = distill("schedule", DIGITS, "--host", stub.url, *cron, *root)
    assert "Disabled 1 older schedule of that name." in out
    assert stub.recurring_runs[1]["runtime_config"]["pipeline_root"] == "s3://bucket/runs"
    assert compiled == [None] * 4  # It is the run's, not the version's.


def test_root_of_the_artifacts_is_known_where_workers_elsewhere_need_it(stub, compiled, distill):
    engine = (
        "kubeflow.beam={engine: spark, spark: {job_server: 'spark:8099', workers: {kind: docker, image: i}}}"
    )
    root = ("--pipeline-root", "s3://bucket/runs")
    assert distill("submit", DIGITS, "--host", stub.url, *root, "--set", engine)[0] == 0
    assert compiled == ["s3://bucket/runs"]


def test_failed_run_ends_in_one_line_that_names_the_node(stub, compiled, distill):
    failed = {"display_name": "Teacher", "state": "FAILED", "error": {"message": "out of memory"}}
    stub.progress = [{"state": "FAILED", "run_details": {"task_details": [failed]}}]
    code, out, errors = distill("submit", DIGITS, "--host", stub.url, "--wait")
    assert code == 1
    assert errors == f"distill: Teacher failed: out of memory; see {stub.url}/#/runs/details/run_id-1\n"
    assert "Teacher: failed after 0:00" in out


def test_interrupted_command_leaves_the_run_alone(stub, compiled, distill, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "PATIENCE", Patience(sleep=interrupt))
    stub.progress = [{"state": "RUNNING"}]
    code, _, errors = distill("submit", DIGITS, "--host", stub.url, "--wait")
    assert code == 1
    assert errors == f"distill: interrupted; the run goes on: {stub.url}/#/runs/details/run_id-1\n"


@pytest.fixture
def in_berlin():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_schedule_says_when_it_runs(stub, compiled, in_berlin, distill):
    code, out, errors = distill(
        "schedule",
        DIGITS,
        "--host",
        stub.url,
        "--cron",
        "0 3 * * MON",
        "--max-concurrency",
        "2",
    )
    assert (code, errors) == (0, "")
    lines = out.splitlines()[2:]
    assert lines[:2] == [
        f"Schedule digits: {stub.url}/#/recurringrun/details/recurring_run_id-1",
        "It runs at '0 0 3 * * 1', seconds first, in UTC. Next, in your time zone:",
    ]
    assert len(lines) == 5
    for line in lines[2:]:
        assert re.fullmatch(
            r"  Monday \d+ \w+ \d{4}, 0[45]:00:00 CES?T, in (\d+ \w+|less than a minute)", line
        )
    (there,) = stub.recurring_runs
    assert there["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert (there["no_catchup"], there["max_concurrency"]) == (True, "2")


@pytest.mark.parametrize(("option", "no_catchup"), [("--no-catchup", True), ("--catch-up", False)])
def test_schedule_catches_up_where_it_is_told_to(stub, compiled, distill, option, no_catchup):
    assert distill("schedule", DIGITS, "--host", stub.url, "--cron", "0 3 * * *", option)[0] == 0
    assert [each.get("no_catchup", False) for each in stub.recurring_runs] == [no_catchup]


def test_schedule_replaces_the_older_one_and_is_listed_and_disabled(stub, compiled, distill):
    distill("schedule", DIGITS, "--host", stub.url, "--cron", "0 3 * * *")
    _, out, _ = distill("schedule", DIGITS, "--host", stub.url, "--cron", "0 4 * * *")
    assert "Disabled 1 older schedule of that name." in out
    code, out, _ = distill("schedules", "--host", stub.url)
    assert code == 0
    version = stub.versions[0]["display_name"]
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if "digits" in line]
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == [
        ("digits", "enabled", "0 0 4 * * *", f"version {version}"),
        ("digits", "disabled", "0 0 3 * * *", f"version {version}"),
    ]
    assert rows[0][3].endswith("hours") or ", in " in rows[0][3]
    assert (
        distill("unschedule", "digits", "--host", stub.url)[1] == "Disabled 1 schedule of the name digits.\n"
    )
    assert distill("unschedule", "digits", "--host", stub.url)[1] == "It is disabled already.\n"


def test_no_schedules(stub, distill):
    assert distill("schedules", "--host", stub.url)[:2] == (0, "There are no schedules.\n")
    code, _, errors = distill("unschedule", "digits", "--host", stub.url)
    assert code == 2
    assert errors == f"distill: 'digits' is no schedule on {stub.url}; distill schedules lists them\n"


def test_schedules_of_others_are_listed_as_they_are(stub, distill):
    stub.recurring_runs = [
        {"display_name": "hourly", "trigger": {"periodic_schedule": {"interval_second": "3600"}}},
        {"display_name": "macro", "trigger": {"cron_schedule": {"cron": "@daily"}}},
        {"display_name": "five", "trigger": {"cron_schedule": {"cron": "0 0 3 * *"}}},
        {"display_name": "bare"},
    ]
    code, out, errors = distill("schedules", "--host", stub.url)
    assert (code, errors) == (0, "")
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[2:]]
    assert rows == [
        ["bare", "enabled"],
        ["five", "enabled", "0 0 3 * *"],
        ["hourly", "enabled", "every 3600 s"],
        ["macro", "enabled", "@daily"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", DIGITS], "Missing option '--host'"),
        (["submit", "missing.yaml", "--host", "http://localhost"], "missing.yaml: no such file"),
        (["submit", DIGITS, "--host", "localhost"], "--host: expected an address"),
        (
            ["submit", DIGITS, "--host", "http://localhost", "--param", "epoch=3"],
            "--param epoch: is unknown; allowed",
        ),
        (
            ["submit", DIGITS, "--host", "http://localhost", "--set", "teacher.epochs=0"],
            "teacher.epochs: got 0",
        ),
        (["submit", DIGITS, "--host", "http://localhost", "--token-file", "missing"], "--token-file missing"),
        (["submit", DIGITS, "--host", "http://localhost", "--token", SECRET], "No such option: --token"),
        (["schedule", DIGITS, "--host", "http://localhost"], "Missing option '--cron'"),
        (
            ["schedule", DIGITS, "--host", "http://localhost", "--cron", "0 3 30 2 *"],
            "--cron '0 3 30 2 *': does not fall due",
        ),
        (
            [
                *("schedule", DIGITS, "--host", "http://localhost", "--cron", "0 3 * * *"),
                *("--param", "push_directory=/[[ScheduledTime.2006-01-02]]"),
            ],
            "the parameter push_directory is '/[[ScheduledTime.2006-01-02]]', which Kubeflow hands to a",
        ),
        (
            [
                *("schedule", DIGITS, "--host", "http://localhost", "--cron", "0 3 * * *"),
                *("--set", "push.directory=/pushed/[[RunUUID]]"),
            ],
            "the parameter push_directory is '/pushed/[[RunUUID]]', which Kubeflow hands to a",
        ),
        (
            ["submit", DIGITS, "--host", "http://localhost", "--pipeline-root", "/tmp"],
            "--pipeline-root: got '/tmp'; must be",
        ),
        (
            [
                "schedule",
                DIGITS,
                "--host",
                "http://localhost",
                "--cron",
                "0 3 * * *",
                "--max-concurrency",
                "11",
            ],
            "'--max-concurrency': Input should be less than or equal to 10",
        ),
    ],
)
def test_usage_error_is_one_line_and_exits_with_2_before_anything_is_asked(distill, arguments, message):
    code, out, errors = distill(*arguments)
    assert (code, out) == (2, "")
    assert errors.startswith("distill: ")
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["upload", DIGITS],
        ["submit", DIGITS],
        ["schedule", DIGITS, "--cron", "0 3 * * *"],
        ["schedules"],
        ["unschedule", "digits"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_server_that_is_not_there_is_one_line_and_exits_with_1(distill, arguments):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        code, out, errors = distill(*arguments, "--host", host)
    assert (code, out) == (1, "")
    assert errors == (
        f"distill: cannot reach Kubeflow Pipelines: {host} cannot be reached; "
        "check the address and your network\n"
    )


def test_host_and_credentials_come_from_the_environment_and_are_not_shown(
    stub: Stub, compiled, distill, monkeypatch, caplog
):
    caplog.set_level("DEBUG")
    stub.token = SECRET
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", stub.url)
    monkeypatch.setenv("DISTILL_KFP_TOKEN", SECRET)
    code, out, errors = distill("submit", DIGITS, "--wait")
    assert code == 0
    monkeypatch.setenv("DISTILL_KFP_TOKEN", SECRET[::-1])
    refused, more_out, more_errors = distill("submit", DIGITS)
    assert refused == 1
    assert "does not know you (401: Request header error: Bearer *** is no user)" in more_errors
    said = out + errors + more_out + more_errors + caplog.text
    assert SECRET not in said
    assert SECRET[::-1] not in said


def test_token_file_comes_from_the_environment(stub, distill, monkeypatch, tmp_path):
    stub.token = SECRET
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    assert distill("schedules", "--host", stub.url)[0] == 0
