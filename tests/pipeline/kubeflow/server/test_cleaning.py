import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[3] / "live"))

from cleaning import clean_up

from pipeline.kubeflow.server.schedules import Schedule, put_schedule
from pipeline.kubeflow.server.versions import experiment_id, start_run, upload

TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"


@pytest.fixture
def fill(server):
    """Makes two versions, two runs and a schedule of a name."""

    def fill_(name):
        upload(server, pipeline=name, text=TEXT + "# older\n")
        version, experiment = upload(server, pipeline=name, text=TEXT), experiment_id(server, name)
        common = {"parameters": {}, "pipeline_root": None, "service_account": None}
        for _ in range(2):
            start_run(server, version=version, experiment_id=experiment, **common)
        schedule = Schedule(
            name=name,
            version=version,
            cron="0 0 3 * * *",
            max_concurrency=1,
            catches_up=True,
            experiment_id=experiment,
            **common,
        )
        put_schedule(server, schedule)

    return fill_


def test_the_acceptance_run_takes_away_what_it_made_and_nothing_else(stub, server, fill):
    fill("digits")
    things = ("pipelines", "versions", "experiments", "runs", "recurring_runs")
    before = {kind: list(getattr(stub, kind)) for kind in things}
    fill("distill-check-1")
    assert clean_up(server, "distill-check-1") == []
    assert {kind: getattr(stub, kind) for kind in things} == before


def test_what_cannot_be_deleted_is_said_and_the_rest_goes(stub, server, fill):
    fill("distill-check-1")
    stub.fail("DELETE", "/run_id-1", 403)
    stub.fail("DELETE", "/run_id-2", "reset")
    (left,) = clean_up(server, "distill-check-1")
    assert left.startswith(f"cannot delete run_id-1: {stub.url} does not let you (403")
    assert [run["run_id"] for run in stub.runs] == ["run_id-1"]
    assert (stub.pipelines, stub.recurring_runs) == ([], [])
