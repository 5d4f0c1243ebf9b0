import hashlib

import pytest

from components.errors import InputError
from pipeline.kubeflow.server.connection import (
    ServerError,
    UnclearError,
    UnreachableError,
    check_host,
    connect,
)
from pipeline.kubeflow.server.credentials import Credentials
from pipeline.kubeflow.server.versions import experiment_id, start_run, upload

TEXT = """\
pipelineInfo: {name: digits}
root: {dag: {}}
schemaVersion: 2.1.0
---
platforms: {kubernetes: {deploymentSpec: {executors: {}}}}
"""
NAME = f"digits-{hashlib.sha256(TEXT.encode()).hexdigest()[:12]}"


def submit(server):
    version = upload(server, pipeline="digits", text=TEXT)
    return start_run(
        server,
        version=version,
        experiment_id=experiment_id(server, "nightly"),
        parameters={"teacher_epochs": 5, "span": "7"},
        pipeline_root=None,
        service_account=None,
    )


def things_on(stub):
    return [len(things) for things in (stub.pipelines, stub.versions, stub.experiments, stub.runs)]


def test_version_and_run_are_made(stub, server):
    run = submit(server)
    assert things_on(stub) == [1, 1, 1, 1]
    assert stub.pipelines[0]["display_name"] == "digits"
    assert stub.versions[0]["display_name"] == NAME
    assert stub.asked("POST", "/upload_version")[0].body == TEXT
    assert stub.experiments[0]["display_name"] == "nightly"
    assert stub.runs[0]["runtime_config"]["parameters"] == {"teacher_epochs": 5, "span": "7"}
    assert stub.runs[0]["pipeline_version_reference"] == {
        "pipeline_id": stub.pipelines[0]["pipeline_id"],
        "pipeline_version_id": stub.versions[0]["pipeline_version_id"],
    }
    assert run.display_name.startswith(f"{NAME}-2")


def test_second_submission_adds_a_run_alone(stub, server):
    first, second = submit(server), submit(server)
    assert things_on(stub) == [1, 1, 1, 2]
    assert first.display_name != second.display_name


def test_upload_says_whether_the_version_is_new(stub, server):
    assert upload(server, pipeline="digits", text=TEXT).is_new
    again = upload(server, pipeline="digits", text=TEXT)
    assert (again.name, again.is_new) == (NAME, False)
    assert upload(server, pipeline="digits", text=TEXT.replace("dag: {}", "dag: {outputs: {}}")).is_new
    assert things_on(stub) == [1, 2, 0, 0]


def test_pipeline_is_found_behind_the_first_page(stub, server):
    for name in ("digits-1", "digits-2", "mnist", "digits", "digits-3"):
        upload(server, pipeline=name, text=TEXT)
    assert len(stub.pipelines) == 5
    for letter in "abcde":
        upload(server, pipeline="digits", text=TEXT + f"# {letter}\n")
    upload(server, pipeline="digits", text=TEXT)
    assert (len(stub.pipelines), len(stub.versions)) == (5, 10)


def test_service_account_is_the_run_s(stub, server):
    version = upload(server, pipeline="digits", text=TEXT)
    experiment = experiment_id(server, "nightly")
    start_run(
        server,
        version=version,
        experiment_id=experiment,
        parameters={},
        pipeline_root=None,
        service_account="trainer",
    )
    assert stub.runs[0]["service_account"] == "trainer"


POSTS = ("/pipelines", "/upload_version", "/experiments", "/runs")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("fault", [500, 503, 429, "500 after", "reset", "reset after", "half"], ids=str)
def test_nothing_is_made_twice_after_a_failure(stub, server, pauses, path, fault):
    stub.fail("POST", path, fault)
    submit(server)
    assert things_on(stub) == [1, 1, 1, 1]
    assert sum(pauses) <= 1


@pytest.mark.parametrize("path", POSTS)
def test_failure_that_lasts_a_while_is_waited_out(stub, server, pauses, path):
    stub.fail("POST", path, 500, 503, "reset", 502)
    submit(server)
    assert things_on(stub) == [1, 1, 1, 1]
    assert pauses == [1, 2, 4, 8]


@pytest.mark.parametrize("path", ["/healthz", "/pipelines", "/versions", "/experiments", "/runs"])
def test_reading_is_tried_again(stub, patience, pauses, path):
    stub.fail("GET", path, 500, 503)
    submit(connect(stub.url, credentials=Credentials(), patience=patience))
    assert things_on(stub) == [1, 1, 1, 1]
    assert pauses == [1, 2]


@pytest.mark.parametrize("path", POSTS)
def test_failure_that_stays_ends_it(stub, server, pauses, path):
    stub.fail("POST", path, *[500] * 5, message="the database is full\n\tat mysql.go:42")
    with pytest.raises(ServerError, match=r"in trouble \(500: the database is full\)$"):
        submit(server)
    assert pauses == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "refuses (400: no)"),
        (401, "does not know you (401: no); sign in with --token-file or DISTILL_KFP_TOKEN"),
        (403, "does not let you (403: no); ask its administrator"),
        (404, "has no such thing (404: no); check the address"),
    ],
)
@pytest.mark.parametrize("path", POSTS)
def test_refusal_is_final(stub, server, pauses, path, status, message):
    stub.fail("POST", path, status, message="no")
    with pytest.raises(ServerError) as refusal:
        submit(server)
    assert message in str(refusal.value)
    assert len(stub.asked("POST", path)) == 1
    assert pauses == []


def test_what_another_makes_at_the_same_moment_is_taken(stub, server):
    """Its look-up finds nothing yet, and then making it meets a conflict."""
    rival = connect(stub.url, credentials=Credentials())
    create = server.client.pipelines.pipeline_service_create_pipeline

    def create_too_late(**arguments):
        upload(rival, pipeline="digits", text=TEXT)
        return create(**arguments)

    server.client.pipelines.pipeline_service_create_pipeline = create_too_late
    assert not upload(server, pipeline="digits", text=TEXT).is_new
    assert things_on(stub) == [1, 1, 0, 0]


def test_conflict_with_what_cannot_be_seen_is_said(stub, server):
    stub.fail("POST", "/pipelines", 409, message="The name digits already exist")
    with pytest.raises(
        ServerError, match=r"has something of that name \(409: The name digits already exist\)"
    ):
        upload(server, pipeline="digits", text=TEXT)


def test_run_made_after_the_answer_was_given_up_is_found(stub, hasty):
    stub.fail("POST", "/runs", "hang after")
    assert submit(hasty).run_id == stub.runs[0]["run_id"]
    assert things_on(stub) == [1, 1, 1, 1]


def test_server_that_may_be_busy_is_not_asked_to_make_it_again(stub, hasty, pauses):
    stub.fail("POST", "/runs", "hang")
    with pytest.raises(UnclearError, match=r"did not answer within 2 s; it may do it yet: look at http"):
        submit(hasty)
    assert len(stub.asked("POST", "/runs")) == 1
    assert pauses == [1, 1]


def test_server_that_dies_is_taken_up_again_where_it_stopped(stub, server, patience):
    stub.fail("POST", "/upload_version", "die after")
    with pytest.raises(UnclearError, match="whether it was done is not known"):
        submit(server)
    assert things_on(stub) == [1, 1, 0, 0]
    stub.start()
    submit(connect(stub.url, credentials=Credentials(), patience=patience))
    assert things_on(stub) == [1, 1, 1, 1]


def test_server_that_is_gone_is_said_at_once(stub, patience, pauses):
    stub.stop()
    with pytest.raises(UnreachableError, match="cannot be reached; check the address and your network"):
        connect(stub.url, credentials=Credentials(), patience=patience)
    assert pauses == []


def test_page_for_people_is_no_answer(stub, patience):
    """What a proxy sends that wants its user to sign in."""
    stub.fail("GET", "/healthz", "page")
    with pytest.raises(ServerError, match="answers with a page for people, not as Kubeflow Pipelines"):
        connect(stub.url, credentials=Credentials(), patience=patience)


def test_page_for_people_makes_nothing(stub, server):
    stub.fail("GET", "/pipelines", "page")
    with pytest.raises(ServerError, match="answers with a page for people"):
        submit(server)
    assert things_on(stub) == [0, 0, 0, 0]


def test_other_server_is_not_taken_for_kubeflow(stub, patience):
    with pytest.raises(
        ServerError, match=r"cannot reach Kubeflow Pipelines: .*/elsewhere has no such thing \(404"
    ):
        connect(f"{stub.url}/elsewhere", credentials=Credentials(), patience=patience)


def test_server_with_users_wants_a_namespace(stub, patience):
    stub.multi_user = True
    with pytest.raises(InputError, match="--namespace is missing"):
        connect(stub.url, credentials=Credentials(), patience=patience)
    submit(connect(stub.url, credentials=Credentials(), namespace="anna", patience=patience))
    assert stub.pipelines[0]["namespace"] == "anna"
    assert stub.experiments[0]["namespace"] == "anna"


def test_server_without_users_knows_no_namespace(stub, patience):
    with pytest.raises(InputError, match=r"--namespace anna: .* knows no namespaces; leave it out"):
        connect(stub.url, credentials=Credentials(), namespace="anna", patience=patience)


@pytest.mark.parametrize("host", ["http://localhost:8080", "https://kubeflow.example.com/pipeline/"])
def test_host(host):
    assert check_host(host) == host.rstrip("/")


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:8080", "ftp://host", "https://", "https://host:port", "https://host/#/runs"],
)
def test_impossible_host(host):
    with pytest.raises(InputError, match="--host: expected an address such as https://"):
        check_host(host)


def test_password_in_the_host_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="must hold no user or password") as refusal:
        check_host("https://anna:hunter2@host")
    assert "hunter2" not in str(refusal.value)
