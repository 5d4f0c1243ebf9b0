"""What must hold on a live Kubeflow Pipelines before a release; each test builds on those before it."""

import re
from typing import Any

import pytest

CONFIG = "configs/digits.yaml"
NODES = (
    *("Look", "ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Teacher"),
    *("Scratch", "TeacherPredictions", "Distiller-distilled", "Evaluator", "Pusher"),
)


def states(output: str) -> dict[str, str]:
    """The last state of each node in plain lines: `completed`, `cached` or `failed`."""
    found = re.findall(r"^([\w-]+): (completed|cached|failed)", output, re.MULTILINE)
    return {node: state for node, state in found if node in NODES}


def accuracies(output: str) -> dict[str, float]:
    """The accuracy of each model in the table, in percent."""
    found = re.findall(r"^(teacher|scratch|distilled) +(\d+\.\d+)\s%", output, re.MULTILINE)
    return {model: float(percent) for model, percent in found}


def submit(check: Any, *parameters: str) -> Any:
    """Runs the experiment on the server and follows it; the cache knows its name from no earlier check."""
    options = [part for parameter in parameters for part in ("--param", parameter)]
    return check.distill("submit", CONFIG, *check.settings, "--wait", *options)


@pytest.fixture(scope="module")
def first(check: Any) -> Any:
    """The first run on the server."""
    return submit(check)


def test_a_version_is_uploaded_once(check: Any) -> None:
    for expected in ("uploaded", "is there already"):
        uploaded = check.distill("upload", CONFIG, *check.settings)
        assert uploaded.returncode == 0
        assert re.search(
            rf"^Version {check.name}-[0-9a-f]{{12}}: {expected}\.$", uploaded.stdout, re.MULTILINE
        )


def test_a_run_is_followed_from_its_first_to_its_last_node(first: Any) -> None:
    assert first.returncode == 0
    assert states(first.stdout) == dict.fromkeys(NODES, "completed")


def test_a_run_ends_with_the_table_and_the_verdict(first: Any) -> None:
    assert set(accuracies(first.stdout)) == {"teacher", "scratch", "distilled"}
    assert "The student 'distilled' is " in first.stdout


def test_its_accuracies_are_within_two_points_of_those_on_this_machine(check: Any, first: Any) -> None:
    here = check.run_here()
    assert here.returncode == 0
    there = accuracies(first.stdout)
    # Another processor may round otherwise: seven of the 350 test images.
    assert accuracies(here.stdout) == pytest.approx(there, abs=2.0)


def test_the_same_run_again_comes_from_the_cache(check: Any, first: Any) -> None:
    again = submit(check)
    assert again.returncode == 0
    # Without a push directory no run knows of the one before, so that each pushes.
    assert {node for node, state in states(again.stdout).items() if state == "completed"} == {
        "Look",
        "Pusher",
    }


def test_another_temperature_runs_what_depends_on_it_alone(check: Any, first: Any) -> None:
    changed = submit(check, "distilled_temperature=3")
    assert changed.returncode == 0
    completed = {node for node, state in states(changed.stdout).items() if state == "completed"}
    assert completed == {"Look", "Distiller-distilled", "Evaluator", "Pusher"}


def test_a_run_that_fails_says_why(check: Any) -> None:
    failed = submit(check, "teacher_epochs=0")
    assert failed.returncode == 1
    assert re.search(r"^distill: Look failed: .*teacher_epochs: got 0", failed.stderr, re.MULTILINE)


def test_a_schedule_is_made_once_and_replaced_by_another(check: Any) -> None:
    nightly, weekly = ("--cron", "0 3 * * *"), ("--cron", "0 3 * * MON")
    for cron in (nightly, nightly):
        assert check.distill("schedule", CONFIG, *check.settings, *cron).returncode == 0
    replaced = check.distill("schedule", CONFIG, *check.settings, *weekly)
    assert "Disabled 1 older schedule of that name." in replaced.stdout
    listed = check.distill("schedules").stdout
    assert len(re.findall(rf"^{check.name} ", listed, re.MULTILINE)) == 2


def test_a_schedule_is_disabled(check: Any) -> None:
    unscheduled = check.distill("unschedule", check.name)
    assert unscheduled.returncode == 0
    assert unscheduled.stdout == f"Disabled 1 schedule of the name {check.name}.\n"
