"""Follows a run on a server: from what the server says now and then to events.

What a server says is what KFP 2.17 was seen to say. A run has many more tasks than nodes. A node NODE is
first `NODE-driver`, which looks for its inputs, and then `NODE`, which lasts from its first container to its
last and to the end of the pauses after them. The containers are `executor(0)`, `executor(1)` and so on, one
for each attempt, or a single `executor` where there is no second attempt; whose they are, only their times
tell. All other tasks are Argo's own.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pipeline.config.nodes import LOOK
from pipeline.events import Event, NodeFailed, NodeFinished, NodeStarted, RunFailed, RunFinished
from pipeline.kubeflow.result_lines import find_result
from pipeline.kubeflow.server.connection import Server, UnclearError, UnreachableError

_DRIVER = "-driver"
_EVALUATOR = "Evaluator"
_ATTEMPT = re.compile(r"executor\(\d+\)")
_CONTAINER = "executor"
_ENDS = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
# So many looks in a row may fail: a server that is being replaced comes back, and the run goes on without it.
_SILENCES = 60

# The launcher's own lines in a log, whose levels and dates are glog's.
_LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.]+:\d+\] (?P<text>.*)")
_GAVE_UP = "Component failed to execute successfully"
_EXITED = "exit status"  # Whereas who was killed had no last word.
_FATAL = re.compile(r"F\d{4} ")
# A record of a logger, Python's or TensorFlow's own, is no last word.
_LOG_RECORD = re.compile(r"\d{4}-\d\d-\d\d |[IWEF]\d{4} |WARNING: ")
_LONGEST_REASON = 500

_State = Literal["waiting", "running", "completed", "failed"]
_Tasks = Sequence[Any]


def follow(server: Server, run_id: str, *, nodes: Sequence[str], wait: Callable[[], None]) -> Iterator[Event]:
    """Yields what happens in a run until it ends, and then `RunFinished` or `RunFailed`.

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
            tasks = (run.run_details and run.run_details.task_details) or ()
            yield from _news(states, tasks=tasks)
            if run.state in _ENDS:
                yield _last_event(server, run, tasks=tasks, states=states)
                return
        wait()


def read_result(server: Server, run_id: str) -> list[str]:
    """Returns the lines of the table and the verdict of a run, or that nothing was new.

    There are none where something was new, but made no difference: then the Evaluator came from the cache.

    Args:
      server: Where it ran.
      run_id: The run, which succeeded.

    Raises:
      ServerError: The server does not let us look any more.
    """
    run = server.read("look at the result", server.client.runs.run_service_get_run, run_id=run_id)
    tasks = (run.run_details and run.run_details.task_details) or ()
    for task in (_task(node, tasks=tasks) for node in (_EVALUATOR, LOOK)):
        for child in reversed((task and task.child_tasks) or ()):
            lines = find_result(server.log(run_id, child.pod_name))
            if lines:
                return lines
    return []


def _news(states: dict[str, _State], *, tasks: _Tasks) -> Iterator[Event]:
    """Yields what changed since the last look, and brings the states up to date."""
    for node, before in states.items():
        now = _state(node, tasks=tasks)
        if before in ("completed", "failed") or now in (before, "waiting"):
            continue
        states[node] = now
        if before == "waiting":
            yield NodeStarted(node)
        if now == "completed":
            yield _finished(node, tasks=tasks)
        elif now == "failed":
            yield NodeFailed(node, _seconds(_failed_task(node, tasks=tasks), tasks=tasks) or 0.0)


def _state(node: str, *, tasks: _Tasks) -> _State:
    if _failed_task(node, tasks=tasks) is not None:
        return "failed"
    task = _task(node, tasks=tasks)
    if task is not None and task.state == "SUCCEEDED":
        return "completed"
    started = [each for each in _tasks_of(node, tasks=tasks) if each.state in ("RUNNING", "SUCCEEDED")]
    return "running" if started else "waiting"


def _task(name: str, *, tasks: _Tasks) -> Any:
    return next((task for task in tasks if task.display_name == name), None)


def _tasks_of(node: str, *, tasks: _Tasks) -> list[Any]:
    found = [_task(name, tasks=tasks) for name in (node, node + _DRIVER)]
    return [task for task in found if task is not None]


def _failed_task(node: str, *, tasks: _Tasks) -> Any:
    return next((task for task in _tasks_of(node, tasks=tasks) if task.state == "FAILED"), None)


def _finished(node: str, *, tasks: _Tasks) -> NodeFinished:
    """A node that succeeded and started no container was taken from the cache."""
    seconds = _seconds(_task(node, tasks=tasks), tasks=tasks)
    return NodeFinished(node, "cached" if seconds is None else "completed", seconds or 0.0)


def _seconds(task: Any, *, tasks: _Tasks) -> float | None:
    """Returns how long a task took up to the end of its last container, or None if it started none."""
    if task.start_time is None or task.end_time is None:
        return 0.0
    if task.display_name.endswith(_DRIVER):
        return (task.end_time - task.start_time).total_seconds()
    meanwhile = [
        each
        for each in tasks
        if each.start_time is not None
        and each.end_time is not None
        and task.start_time <= each.start_time <= each.end_time <= task.end_time
    ]
    attempts = [each for each in meanwhile if _ATTEMPT.fullmatch(each.display_name or "")]
    only = [
        each
        for each in meanwhile
        if each.display_name == _CONTAINER and each.state in ("SUCCEEDED", "FAILED")
    ]
    ends = [each.end_time for each in attempts or only]
    return (max(ends) - task.start_time).total_seconds() if ends else None


def _last_event(
    server: Server, run: Any, *, tasks: _Tasks, states: Mapping[str, _State]
) -> RunFinished | RunFailed:
    if run.state == "SUCCEEDED":
        return RunFinished()
    failed = [node for node, state in states.items() if state == "failed"]
    if _was_terminated(run):
        problem = "the run was terminated"
    elif failed:
        problem = "; ".join(_failure(server, run, node=node, tasks=tasks) for node in failed)
    else:
        problem = f"the run {run.state.lower()}{_because(run)}"
    page = server.page(f"runs/details/{run.run_id}")
    return RunFailed(f"{problem}; see {page}", is_input_error=False)


def _was_terminated(run: Any) -> bool:
    """Tells whether a person ended a run, which the server then calls failed."""
    states = [run.state, *(status.state for status in run.state_history or ())]
    return "CANCELED" in states or "CANCELING" in states


def _failure(server: Server, run: Any, *, node: str, tasks: _Tasks) -> str:
    """Says which node failed, and why, as far as the server or the log tells."""
    task = _failed_task(node, tasks=tasks)
    is_driver = task.display_name.endswith(_DRIVER)
    who = f"Kubeflow's driver of {node}" if is_driver else node
    return f"{who} failed{_because(task) or _because(run) or _last_words(server, run, task=task, node=node)}"


def _because(thing: Any) -> str:
    """Returns the reason that a task or a run gives, if it gives one; KFP 2.17 gives none."""
    errors = [thing.error, *(status.error for status in reversed(thing.state_history or ()))]
    messages = [error.message for error in errors if error is not None and error.message]
    return f": {messages[0].strip().splitlines()[0]}" if messages else ""


def _last_words(server: Server, run: Any, *, task: Any, node: str) -> str:
    """Returns the reason that the log of a failed task gives, if it gives one.

    What a task names are Argo's nodes. Asked for one that is no pod, the server answers with the log of some
    other pod, or with an error that looks like a log: only what speaks of the node is read.
    """
    for child in reversed(task.child_tasks or ()):
        log = server.log(run.run_id, child.pod_name)
        reason = _reason(log) if f"{node}/" in log or task.display_name.endswith(_DRIVER) else ""
        if reason:
            return f": {reason[:_LONGEST_REASON].rstrip('.')}"
    return ""


def _reason(log: str) -> str:
    """Finds the reason of a failure in a container's log.

    It is the line before the launcher gives up, unless that is one of the launcher or of a logger: else it is
    what the launcher says of the failure.
    """
    before, fatal = "", ""
    for line in filter(str.strip, log.splitlines()):
        launcher = _LAUNCHER.match(line)
        if launcher is None:
            before = "" if _LOG_RECORD.match(line) else line.strip()
        elif launcher["text"].startswith(_GAVE_UP):
            if before and _EXITED in launcher["text"]:
                return before
        elif _FATAL.match(line):
            fatal = launcher["text"].strip()
        else:
            before = ""
    return fatal
