import os
import pathlib
import select
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from pipeline.events import Event, NodeStarted, RunFailed, RunFinished
from pipeline.local.background import run_in_background

HERE = pathlib.Path(__file__).parent
SECONDS_TO_DIE = 20

WATCH = """
import contextlib, pathlib, sys
import example_tasks
from pipeline.local.background import run_in_background

if __name__ == "__main__":
    events = run_in_background(example_tasks.start_and_wait, log=pathlib.Path(sys.argv[1]))
    with contextlib.closing(events):
        for event in events:
            print(event.node, flush=True)
"""


@pytest.fixture
def events_of(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Event]]:
    """Runs a task of `example_tasks` with the log `run.log`, and returns all its events."""
    monkeypatch.syspath_prepend(HERE)
    import example_tasks

    return lambda task: list(run_in_background(getattr(example_tasks, task), log=tmp_path / "run.log"))


def test_everything_that_is_printed_goes_to_the_log(events_of, tmp_path, capfd):
    events = events_of("chatter")
    assert events == [NodeStarted("Teacher"), RunFinished({"arguments": []})]
    log = (tmp_path / "run.log").read_text()
    for line in ("printed by Python", "written to 1", "written to 2", "printed by a program"):
        assert line in log
    assert capfd.readouterr() == ("", "")


def test_log_grows_from_run_to_run(events_of, tmp_path):
    events_of("chatter")
    events_of("chatter")
    assert (tmp_path / "run.log").read_text().count("written to 1") == 2


def test_what_the_user_did_wrong_is_told_in_its_own_words(events_of):
    assert events_of("raise_input_error") == [
        RunFailed("The folder 'x' holds no images.", is_input_error=True)
    ]


def test_what_was_lost_on_the_way_is_no_fault_of_what_the_user_gave(events_of):
    assert events_of("lose_engine") == [RunFailed("beam: flink lost its JobManager.", is_input_error=False)]


def test_fault_is_named_in_one_line_and_traced_in_the_log(events_of, tmp_path):
    (failed,) = events_of("raise_fault")
    log = tmp_path / "run.log"
    assert failed == RunFailed(
        f"internal error: ValueError: shapes (3,) and (4,); the traceback is in {log}", is_input_error=False
    )
    assert "Traceback" in log.read_text()


def test_fault_in_a_node_names_node_and_original_error(events_of):
    (failed,) = events_of("raise_node_error")
    assert failed.message.startswith("internal error in Teacher: KeyError: 'logits'; the traceback is in ")


def test_killed_process_is_noticed(events_of, tmp_path):
    started, failed = events_of("be_killed")
    assert started == NodeStarted("Teacher")
    assert "was killed by SIGKILL" in failed.message
    assert str(tmp_path / "run.log") in failed.message


def test_process_that_ends_without_a_word_is_noticed(events_of):
    (failed,) = events_of("leave")
    assert "ended unexpectedly (exit code 7)" in failed.message


def test_closing_ends_the_process_and_what_it_started(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    import example_tasks

    events = run_in_background(example_tasks.start_and_wait, log=tmp_path / "run.log")
    started = next(events)
    assert isinstance(started, NodeStarted)
    processes = watch_processes(started.node)
    events.close()
    assert_all_end(processes)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_process_ends_with_its_parent_and_so_does_what_it_started(signal_, tmp_path):
    script = tmp_path / "watch.py"
    script.write_text(WATCH)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "run.log")],
        env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[2]}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent:
        processes = watch_processes(parent.stdout.readline())
        parent.send_signal(signal_)
        assert_all_end(processes)


def watch_processes(process_ids: str) -> list[int]:
    return [os.pidfd_open(int(process_id)) for process_id in process_ids.split()]


def assert_all_end(processes: list[int]) -> None:
    assert len(processes) == 2
    for process in processes:
        # A process's descriptor is readable once the process has ended.
        readable, _, _ = select.select([process], [], [], SECONDS_TO_DIE)
        os.close(process)
        assert readable
