"""What a run reports while it is running. Events cross from the process that runs the graph to its parent."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from components.report.summary import Summary


@dataclasses.dataclass(frozen=True)
class NodeStarted:
    """A node began."""

    node: str


@dataclasses.dataclass(frozen=True)
class NodeProgress:
    """Where a trainer stands: epochs and steps count from 1, the time left is in seconds."""

    node: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    seconds_left: float


@dataclasses.dataclass(frozen=True)
class NodeShards:
    """How many of how many shards a node has written, whichever engine it runs on."""

    node: str
    number: int
    total: int


@dataclasses.dataclass(frozen=True)
class NodeNote:
    """Something about a node that the user should know, without a full stop."""

    node: str
    text: str


@dataclasses.dataclass(frozen=True)
class NodeFinished:
    """A node's outputs are there, made just now or taken from the cache."""

    node: str
    state: Literal["completed", "cached"]
    seconds: float


@dataclasses.dataclass(frozen=True)
class NodeFailed:
    """A node stopped with an error; `RunFailed` will say which."""

    node: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class RunFinished:
    """The last event of a run that reached its end, with its summary if it ran on this machine."""

    summary: Summary | None = None


@dataclasses.dataclass(frozen=True)
class RunFailed:
    """The last event of a run that did not.

    The message is for the user; `is_input_error` tells whether the fault is in what the user gave.
    """

    message: str
    is_input_error: bool


Event = (
    NodeStarted | NodeProgress | NodeShards | NodeNote | NodeFinished | NodeFailed | RunFinished | RunFailed
)
Report = Callable[[Event], None]
