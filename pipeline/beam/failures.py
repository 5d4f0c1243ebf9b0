"""What to tell the user when a node fails that may have run on a Beam engine."""

import re
from collections.abc import Iterator

from components.errors import InputError, LostEngineError
from pipeline.config.beam import Engine

_JOB_FAILED = re.compile(r"failed in state FAILED: (?P<cause>.*)", re.DOTALL)
# A worker did its work, and what it ran raised this: no part of the engine is missing.
_RAISED_IN_WORKER = re.compile(r"Error received from SDK harness|Traceback \(most recent call last\)")
_INPUT_ERROR = re.compile(r"components\.errors\.\w+: (?P<message>.+)$", re.MULTILINE)
# Beam adds to the message of an exception where it was raised.
_WHILE_RUNNING = re.compile(r" \[while running .*$")
# What Flink and Beam's job server say, by the part whose loss makes them say it; the first that fits counts.
_LOST = {
    "its TaskManagers": re.compile(
        # The timeout is that of slots which no TaskManager offers.
        r"Timeout has occurred|NoResourceAvailable|TaskManager|TaskExecutor|RemoteTransportException"
    ),
    "its Python workers": re.compile(
        # The channel to a pool is gRPC's, which names the call of the system. A program that starts workers
        # may be missing, or end at once.
        r"finishConnect|StatusRuntimeException|SDK harness closed|[Ww]orker"
        r"|IOException: error=\d|Process died"
    ),
    "its JobManager": re.compile(r"ConnectException|RestClientException|FlinkJobNotFound|RetryException"),
}


def explain(error: Exception, *, engine: Engine) -> InputError | None:
    """Finds what to tell the user: of a mistake, or in one sentence which part of an engine was lost.

    Args:
      error: What ended a node.
      engine: On which it ran.

    Returns:
      The error itself if it is of a user's mistake, or one in its place; None if it is a fault of ours.
    """
    if isinstance(error, InputError):
        error.args = (_WHILE_RUNNING.sub("", str(error)),)
        return error
    said = find_input_error(error)
    if said:
        return said
    if engine == "direct":
        return None
    lost = find_lost(error)
    if lost is not None:
        part, sign = lost
        return LostEngineError(
            f"beam: {engine} lost {part} in the middle of a job ({sign}); see that all of it runs, and run "
            "the same command again: what was complete comes from the cache."
        )
    cause = _cause_of_job(error)
    if cause is None or _RAISED_IN_WORKER.search(cause):
        return None
    return LostEngineError(
        f"beam: {engine} failed in the middle of a job ({_first_line(cause)}); see its own logs, and run the "
        "same command again: what was complete comes from the cache."
    )


def find_input_error(error: Exception) -> InputError | None:
    """Returns the error of a user's mistake that was raised in a worker, from which only text comes back."""
    found = (_INPUT_ERROR.search(str(cause)) for cause in _causes(error))
    return next((InputError(_WHILE_RUNNING.sub("", said["message"])) for said in found if said), None)


def find_lost(error: Exception) -> tuple[str, str] | None:
    """Returns which part of an engine does not answer, and by which sign; None if it is none of them."""
    if any(_is_lost_connection(cause) for cause in _causes(error)):
        return "its job server", "the connection broke"
    cause = _cause_of_job(error)
    if cause is None or _RAISED_IN_WORKER.search(cause):
        return None
    part = next((part for part, signs in _LOST.items() if signs.search(cause)), None)
    return (part, _first_line(cause)) if part else None


def _first_line(cause: str) -> str:
    """Returns what an exception of Java's says, without the names of classes."""
    return next(iter(cause.splitlines()), "it said nothing").rpartition("Exception: ")[2]


def _cause_of_job(error: Exception) -> str | None:
    """Returns why a job failed, in the engine's words."""
    found = (_JOB_FAILED.search(str(cause)) for cause in _causes(error))
    return next((failed["cause"] for failed in found if failed), None)


def _is_lost_connection(error: BaseException) -> bool:
    import grpc

    return isinstance(error, grpc.RpcError)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
