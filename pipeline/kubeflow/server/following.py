"""Follows a run on a server: from what the server says now and then to events."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pipeline.events import Event, NodeFailed, NodeFinished, NodeStarted, RunFailed, RunFinished
from pipeline.kubeflow.server.connection import Server, UnclearError, UnreachableError

_DRIVER = "-driver"
_ENDS = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
# So many looks in a row may fail: a server that is being replaced comes back, and the run goes on without it.
_SILENCES = 60

# What KFP's launcher and Argo write below the words of a container, and empty lines.
_NOT_OURS = re.compile(r"[IWEF]\d{4} \d\d:|time=|Error: exit status|\s*$")
# A log that ends with these was cut off.
_LOG_RECORD = re.compile(r"\d{4}-\d\d-\d\d ")

_State = Literal["waiting", "running", "completed", "failed"]


def follow(server: Server, run_id: str, *, nodes: Sequence[str], wait: Callable[[], None]) -> Iterator[Event]:
    """Yields what happens in a run until it ends, and then `RunFinished` or `RunFailed`.

    The server does not tell a node taken from the cache from one that ran.

    Args:
      server: Where it runs.
      run_id: The run.
      nodes: The ids of its nodes.
      wait: Is called between two looks at the run.

    Raises:
      ServerError: The server does not let us look any more, or is silent for too long.
    """
    states: dict[str, _State] = dict.fromkeys(nodes, "waiting")
    silences = 0
    while True:
        try:
            run = server.read("follow the run", server.client.runs.run_service_get_run, run_id=run_id)
        except (UnreachableError, UnclearError):
            silences += 1
            if silences > _SILENCES:
                raise
        else:
            silences = 0
            tasks = {
                task.display_name: task for task in (run.run_details and run.run_details.task_details) or ()
            }
            yield from _news(states, tasks=tasks)
            if run.state in _ENDS:
                yield _last_event(server, run, tasks=tasks, states=states)
                return
        wait()


def _news(states: dict[str, _State], *, tasks: Mapping[str, Any]) -> Iterator[Event]:
    """Yields what changed since the last look, and brings the states up to date."""
    for node, before in states.items():
        now = _state(node, tasks=tasks)
        if before in ("completed", "failed") or now in (before, "waiting"):
            continue
        states[node] = now
        if before == "waiting":
            yield NodeStarted(node)
        if now == "completed":
            yield NodeFinished(node, "completed", _seconds(tasks[node]))
        elif now == "failed":
            yield NodeFailed(node, _seconds(_failed_task(node, tasks=tasks)))


def _state(node: str, *, tasks: Mapping[str, Any]) -> _State:
    """Tells how far a node is, which on Kubeflow is two tasks.

    First a driver finds the inputs, then a task of the node's name runs the container. If the driver fails,
    the other never starts.
    """
    if _failed_task(node, tasks=tasks) is not None:
        return "failed"
    if node in tasks and tasks[node].state == "SUCCEEDED":
        return "completed"
    started = [task for task in _tasks_of(node, tasks=tasks) if task.state in ("RUNNING", "SUCCEEDED")]
    return "running" if started else "waiting"


def _failed_task(node: str, *, tasks: Mapping[str, Any]) -> Any:
    return next((task for task in _tasks_of(node, tasks=tasks) if task.state == "FAILED"), None)


def _tasks_of(node: str, *, tasks: Mapping[str, Any]) -> list[Any]:
    return [tasks[name] for name in (node, node + _DRIVER) if name in tasks]


def _seconds(task: Any) -> float:
    if task.start_time is None or task.end_time is None:
        return 0.0
    return max(0.0, (task.end_time - task.start_time).total_seconds())


def _last_event(
    server: Server, run: Any, *, tasks: Mapping[str, Any], states: Mapping[str, _State]
) -> RunFinished | RunFailed:
    if run.state == "SUCCEEDED":
        return RunFinished()
    failed = [node for node, state in states.items() if state == "failed"]
    if run.state == "CANCELED":
        problem = "the run was cancelled"
    elif not failed:
        problem = f"the run {run.state.lower()}{_because(run)}"
    else:
        reason = _because(_failed_task(failed[0], tasks=tasks)) or _because(run)
        if not reason and len(failed) == 1:
            reason = _last_words(server, run)
        problem = f"{failed[0]} failed{reason}"
    page = server.page(f"runs/details/{run.run_id}")
    return RunFailed(f"{problem}; see {page}", is_input_error=False)


def _because(thing: Any) -> str:
    """Returns the reason that a task or a run gives, if it gives one."""
    errors = [thing.error, *(status.error for status in reversed(thing.state_history or ()))]
    messages = [error.message for error in errors if error is not None and error.message]
    return f": {messages[0].strip().splitlines()[0]}" if messages else ""


def _last_words(server: Server, run: Any) -> str:
    """Returns the reason that the only container that failed gives at the end of its log, if it gives one.

    Up to KFP 2.17 at least, the server knows the reason and does not tell it. Nor does it tell which task a
    pod belongs to, but what failed names its own.
    """
    pods = [
        child.pod_name
        for task in run.run_details.task_details
        if task.state == "FAILED"
        for child in task.child_tasks or ()
    ]
    for pod in reversed(pods):
        lines = [line for line in server.log(run.run_id, pod).splitlines() if not _NOT_OURS.match(line)]
        if lines and not _LOG_RECORD.match(lines[-1]):
            return f": {lines[-1].strip().rstrip('.')}"
    return ""
