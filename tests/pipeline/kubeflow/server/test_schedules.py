import dataclasses
import json
import pathlib
import urllib.request

import pytest

from pipeline.kubeflow.server.connection import ServerError, UnclearError, connect
from pipeline.kubeflow.server.credentials import Credentials
from pipeline.kubeflow.server.schedules import (
    Schedule,
    is_enabled,
    list_schedules,
    put_schedule,
    remove_schedule,
)
from pipeline.kubeflow.server.versions import Version, experiment_id, upload

RECORDED = pathlib.Path(__file__).parent / "recorded"
TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"


@pytest.fixture
def version(server) -> Version:
    return upload(server, pipeline="digits", text=TEXT)


@pytest.fixture
def make(server, version):
    """Makes a schedule, whose fields are given or else always the same."""

    def make_(server=server, **fields):
        given = {
            "name": "digits",
            "version": version,
            "cron": "0 0 3 * * *",
            "max_concurrency": 1,
            "catches_up": True,
            "parameters": {},
            "experiment_id": experiment_id(server, "digits"),
            "pipeline_root": None,
            "service_account": None,
        } | fields
        return put_schedule(server, Schedule(**given))

    return make_


def states(stub):
    return [each["status"] != "DISABLED" for each in stub.recurring_runs]


def test_schedule_is_pinned_to_its_version(stub, make, version):
    made, older = make(parameters={"span": "7"}, catches_up=False)
    (there,) = stub.recurring_runs
    assert older == 0
    assert there["recurring_run_id"] == made.recurring_run_id
    assert there["display_name"] == "digits"
    assert there["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert there["pipeline_version_reference"] == {
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.version_id,
    }
    assert there["runtime_config"]["parameters"] == {"span": "7"}
    assert (there["max_concurrency"], there["no_catchup"]) == ("1", True)
    assert is_enabled(made)


def test_same_schedule_is_not_made_twice(stub, make):
    first, _ = make(parameters={"teacher_epochs": 3})
    second, older = make(parameters={"teacher_epochs": 3})
    assert (second.recurring_run_id, older) == (first.recurring_run_id, 0)
    assert states(stub) == [True]


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 0 4 * * *"},
        {"max_concurrency": 2},
        {"catches_up": False},
        {"parameters": {"teacher_epochs": 3}},
        {"pipeline_root": "s3://bucket/runs"},
        {"service_account": "trainer"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_new_schedule_disables_the_older_one_of_its_name(stub, make, change):
    make()
    make(name="mnist")
    _, older = make(**change)
    assert older == 1
    assert states(stub) == [False, True, True]


def test_new_version_disables_the_schedule_of_the_older_one(stub, server, make):
    make()
    _, older = make(version=upload(server, pipeline="digits", text=TEXT + "# new\n"))
    assert older == 1
    assert states(stub) == [False, True]


def test_disabled_schedule_is_not_taken_for_the_new_one(stub, server, make):
    """Enabling it again would make up for all that it missed."""
    make()
    remove_schedule(server, "digits")
    make()
    assert states(stub) == [False, True]


def test_older_schedule_goes_on_if_the_new_one_cannot_be_made(stub, make):
    make()
    stub.fail("POST", "/recurringruns", 400, message="no")
    with pytest.raises(ServerError, match=r"cannot create the schedule digits: .* refuses \(400: no\)"):
        make(cron="0 0 4 * * *")
    assert states(stub) == [True]
    assert not stub.asked("POST", ":disable")


def test_older_schedule_is_disabled_after_the_new_one_is_made(stub, make):
    make()
    make(cron="0 0 4 * * *")
    posts = [each.path.rpartition("/")[2] for each in stub.requests if each.method == "POST"][-2:]
    assert posts == ["recurringruns", "recurring_run_id-1:disable"]


def test_older_schedule_that_cannot_be_disabled_is_said_and_mended_by_the_same_command(stub, make):
    make()
    stub.fail("POST", ":disable", 403, message="no")
    with pytest.raises(ServerError, match=r"digits is made, but an older one .* run the same command again"):
        make(cron="0 0 4 * * *")
    assert states(stub) == [True, True]
    make(cron="0 0 4 * * *")
    assert states(stub) == [False, True]


@pytest.mark.parametrize("fault", [500, "500 after", "reset", "reset after", "half"], ids=str)
def test_nothing_is_made_twice_after_a_failure(stub, make, fault):
    make()
    stub.fail("POST", "/recurringruns", fault)
    make(cron="0 0 4 * * *")
    assert states(stub) == [False, True]


@pytest.mark.parametrize("fault", [500, "500 after", "reset", "reset after"], ids=str)
def test_disabling_is_tried_again(stub, make, fault):
    make()
    stub.fail("POST", ":disable", fault)
    make(cron="0 0 4 * * *")
    assert states(stub) == [False, True]


def test_schedule_made_after_the_answer_was_given_up_is_found(stub, hasty, make):
    make()
    stub.fail("POST", "/recurringruns", "hang after")
    make(server=hasty, cron="0 0 4 * * *")
    assert states(stub) == [False, True]


def test_server_that_may_be_busy_is_not_asked_to_make_it_again(stub, hasty, make):
    make()
    stub.fail("POST", "/recurringruns", "hang")
    with pytest.raises(UnclearError, match=r"did not answer within 2 s; it may do it yet"):
        make(server=hasty, cron="0 0 4 * * *")
    assert len(stub.asked("POST", "/recurringruns")) == 2
    assert states(stub) == [True]


def test_server_that_dies_is_taken_up_again_where_it_stopped(stub, make):
    make()
    stub.fail("POST", "/recurringruns", "die after")
    with pytest.raises(UnclearError, match="whether it was done is not known"):
        make(cron="0 0 4 * * *")
    stub.start()
    make(cron="0 0 4 * * *")
    assert states(stub) == [False, True]


def test_removed_schedule_stays_on_the_server(stub, server, make):
    make()
    make(name="mnist")
    assert remove_schedule(server, "digits") == (1, 1)
    assert states(stub) == [False, True]
    assert remove_schedule(server, "digits") == (1, 0)
    assert remove_schedule(server, "cifar") == (0, 0)


def test_all_schedules_are_listed_page_by_page(server, make):
    for name in ("a", "b", "c", "d", "e"):
        make(name=name)
    assert [each.display_name for each in list_schedules(server)] == ["a", "b", "c", "d", "e"]
    assert [each.display_name for each in list_schedules(server, name="d")] == ["d"]


def test_schedules_of_a_namespace(stub, patience):
    stub.multi_user = True
    server = connect(stub.url, credentials=Credentials(), namespace="anna", patience=patience)
    list_schedules(server)
    assert stub.asked("GET", "/recurringruns")[0].query["namespace"] == "anna"


def test_recorded_schedules_are_read_as_they_are(stub, server, version):
    """As a live KFP 2.17.0 listed them after `distill schedule`, another one, and `distill unschedule`."""
    recorded = json.loads((RECORDED / "recurring_runs.json").read_text())
    stub.recurring_runs = recorded["recurringRuns"]
    listed = list_schedules(server, name="digits")
    assert [is_enabled(each) for each in listed] == [False, False]
    assert [each.trigger.cron_schedule.cron for each in listed] == ["0 */30 * * * *", "0 */2 * * * *"]
    assert remove_schedule(server, "digits") == (2, 0)


def test_recorded_schedule_is_known_again_unless_its_root_differs(stub, server):
    recorded = json.loads((RECORDED / "recurring_runs.json").read_text())
    there = recorded["recurringRuns"][1] | {"status": "ENABLED", "mode": "ENABLE"}
    stub.recurring_runs = [there]
    reference = there["pipeline_version_reference"]
    same = Schedule(
        name="digits",
        version=Version(
            "digits-289bf656e087", reference["pipeline_id"], reference["pipeline_version_id"], is_new=False
        ),
        cron="0 */2 * * * *",
        max_concurrency=1,
        catches_up=False,
        parameters=there["runtime_config"]["parameters"],
        experiment_id=there["experiment_id"],
        pipeline_root=None,
        service_account=None,
    )
    made, older = put_schedule(server, same)
    assert (made.recurring_run_id, older) == (there["recurring_run_id"], 0)
    stub.pipelines.append({"pipeline_id": reference["pipeline_id"], "display_name": "digits"})
    stub.versions.append(reference)
    stub.experiments.append({"experiment_id": there["experiment_id"], "display_name": "digits"})
    _, older = put_schedule(server, dataclasses.replace(same, pipeline_root="s3://bucket/runs"))
    assert older == 1


@pytest.mark.parametrize(
    ("recording", "path"),
    [
        ("healthz.json", "healthz"),
        ("pipelines.json", "pipelines"),
        ("recurring_runs.json", "recurringruns"),
    ],
)
def test_the_stub_answers_in_the_shape_of_a_live_server(stub, server, make, recording, path):
    make(parameters={"span": "7"}, catches_up=False)
    remove_schedule(server, "digits")
    with urllib.request.urlopen(f"{stub.url}/apis/v2beta1/{path}") as answer:
        found = json.load(answer)
    recorded = json.loads((RECORDED / recording).read_text())
    assert found.keys() == recorded.keys()
    for key in ("pipelines", "recurringRuns"):
        for ours, theirs in zip(found.get(key, ()), recorded.get(key, ())[1:], strict=False):
            assert ours.keys() == theirs.keys()
