"""Shows a run while it goes on, and what came of it."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.layout import REPORT_FILE, SUMMARY_FILE
from components.report.summary import Summary
from components.report.terminal import to_table
from components.report.wording import percent, training_images
from components.serving.versions import Versions
from pipeline.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeProgress,
    NodeShards,
    NodeStarted,
    Report,
    RunFailed,
    RunFinished,
)

_STARTING = "Starting TFX, which can take half a minute"
_REFRESHES_PER_SECOND = 4
_STYLES = {
    "waiting": "dim",
    "running": "bold cyan",
    "completed": "green",
    "cached": "blue",
    "failed": "bold red",
    "interrupted": "bold yellow",
}


@contextlib.contextmanager
def shown(
    console: Console, *, nodes: Sequence[str], starting: str = _STARTING, quiet: bool = False
) -> Iterator[Report]:
    """Shows the events of a run: in a table that lives on a terminal, otherwise as plain lines.

    Args:
      console: Where to.
      nodes: The ids of all nodes, in the order in which they run.
      starting: What to say before the first of them runs.
      quiet: Shows nothing.

    Yields:
      The function that takes the events.
    """
    if quiet:
        yield _ignore
    elif console.is_terminal and not console.is_dumb_terminal:
        table = NodeTable(nodes, starting=starting)
        with Live(table, console=console, refresh_per_second=_REFRESHES_PER_SECOND):
            try:
                yield table.note
            except KeyboardInterrupt:
                table.stop("interrupted")
                raise
        console.print()
    else:
        lines = PlainLines(console)
        lines.begin(starting)
        yield lines.note
        console.print()


def _ignore(event: Event) -> None:
    """Shows nothing."""


@dataclasses.dataclass
class _Row:
    state: str = "waiting"
    start: float = 0.0
    seconds: float | None = None
    progress: NodeProgress | NodeShards | None = None

    def elapsed(self) -> str:
        if self.state == "running":
            return clock(time.monotonic() - self.start)
        return "" if self.seconds is None else clock(self.seconds)


class NodeTable:
    """All nodes with their state, elapsed time and progress; rich draws it as it is now."""

    def __init__(self, nodes: Sequence[str], *, starting: str = _STARTING) -> None:
        self._rows = {node: _Row() for node in nodes}
        self._notes: list[NodeNote] = []
        self._start = time.monotonic()
        self._status = starting

    def note(self, event: Event) -> None:
        """Takes an event in."""
        match event:
            case NodeStarted(node):
                self._status = "Running"
                self._rows[node] = _Row(state="running", start=time.monotonic())
            case NodeProgress(node) | NodeShards(node):
                self._rows[node].progress = event
            case NodeNote():
                self._notes.append(event)
            case NodeFinished(node, state, seconds):
                self._rows[node].state, self._rows[node].seconds = state, seconds
            case NodeFailed(node, seconds):
                self._rows[node].state, self._rows[node].seconds = "failed", seconds
            case RunFinished():
                self._status = "Finished"
            case RunFailed():
                self.stop("failed")

    def stop(self, state: str) -> None:
        """Gives whatever runs a last state: `failed` or `interrupted`."""
        self._status = state.capitalize()
        for row in self._rows.values():
            if row.state == "running":
                row.seconds = time.monotonic() - row.start
                row.state = state

    def __rich__(self) -> RenderableType:
        table = _table("node", "state", "time")
        table.columns[-1].justify = "right"
        for node, row in self._rows.items():
            table.add_row(node, Text(row.state, style=_STYLES[row.state]), row.elapsed())
        status = Text(f"{self._status}, {clock(time.monotonic() - self._start)}")
        progress = [
            Text(f"{node}: {_describe(row.progress)}")
            for node, row in self._rows.items()
            if row.state == "running" and row.progress is not None
        ]
        notes = [Text(f"{note.node} {note.text}.") for note in self._notes]
        return Group(status, table, *notes, *progress)


class PlainLines:
    """A line for each node that starts or ends, for each epoch, and now and then for shards."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, starting: str) -> None:
        """Says what comes before the first node."""
        self._print(starting)

    def note(self, event: Event) -> None:
        """Takes an event in."""
        match event:
            case NodeStarted(node):
                self._print(f"{node}: running")
            case NodeProgress(node, step=step, steps=steps) if step == steps:
                self._print(f"{node}: {_describe(event)}")
            case NodeShards(node):
                self._print(f"{node}: {_describe(event)}")
            case NodeNote(node, text):
                self._print(f"{node} {text}.")
            case NodeFinished(node, "cached"):
                self._print(f"{node}: cached")
            case NodeFinished(node, state, seconds):
                self._print(f"{node}: {state} in {clock(seconds)}")
            case NodeFailed(node, seconds):
                self._print(f"{node}: failed after {clock(seconds)}")

    def _print(self, line: str) -> None:
        print_line(self._console, line)


def print_result(console: Console, summary: Summary, *, workspace: pathlib.Path) -> None:
    """Prints the table of models, the verdict, the cached nodes, and where everything lies.

    Args:
      console: Where to.
      summary: That of the run.
      workspace: The directory of the run.
    """
    console.print(to_table(summary))
    console.print()
    print_line(console, summary.verdict, style="bold green" if summary.blessed else "bold yellow")
    if summary.reference:
        print_line(console, summary.reference.verdict)
    training = summary.histories[summary.candidate]
    if training.training_examples and training.unlabelled_examples:
        print_line(console, training_images(training.training_examples, training.unlabelled_examples))
    cached = [name for name, node in summary.nodes.items() if node.state == "cached"]
    if cached:
        print_line(console, f"From the cache: {', '.join(cached)} ({len(cached)} of {len(summary.nodes)}).")
    print_line(console, f"Report:  {workspace / REPORT_FILE}")
    print_line(console, f"Summary: {workspace / SUMMARY_FILE}")
    print_line(console, f"Pushed:  {_pushed(summary.pushed_model)}")


def print_line(console: Console, line: str, *, style: str = "") -> None:
    """Prints a line as it is: no markup, and nothing broken that one may want to copy.

    Args:
      console: Where to.
      line: The line.
      style: How it looks on a terminal.
    """
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """Writes a duration as `m:ss` or `h:mm:ss`."""
    minutes, seconds_ = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_:02}" if hours else f"{minutes}:{seconds_:02}"


def _table(*headings: str) -> Table:
    """Returns an empty table that, on a narrow terminal, breaks words rather than hide their end."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _pushed(model: str | None) -> str:
    """Names what a run, or the one whose outputs it takes from the cache, has pushed."""
    if model is None:
        return "nothing"
    directory, _, version = model.rpartition("/")
    shipping = Versions(directory).shipping()
    return model if shipping in (None, version) else f"{model}, but {shipping} ships"


def _describe(progress: NodeProgress | NodeShards) -> str:
    if isinstance(progress, NodeShards):
        return f"{progress.number} of {progress.total} shards"
    step = "" if progress.step == progress.steps else f", step {progress.step}/{progress.steps}"
    return (
        f"epoch {progress.epoch}/{progress.epochs}{step}, loss {progress.loss:.4f}, "
        f"accuracy {percent(progress.accuracy, decimals=2)}, {clock(progress.seconds_left)} left"
    )
