"""Several finished runs side by side, in the terminal and as a page."""

import pathlib
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from components.errors import InputError
from components.files import write_text
from components.report.columns import Column
from components.report.summary import Summary
from pipeline.results.workspace_files import read_summary

_NOT_FAIR = (
    "These runs were measured on different test images: their numbers do not show which student is better."
)

Runs = Mapping[str, Summary]


def read_runs(workspaces: Sequence[pathlib.Path]) -> dict[str, Summary]:
    """Reads the summaries of several runs.

    Args:
      workspaces: The directories of the runs.

    Returns:
      Each summary, by the name of its workspace or, where two are the same, its path.

    Raises:
      InputError: A workspace holds no finished run, or its summary cannot be read.
    """
    paths = [workspace.absolute() for workspace in workspaces]
    are_told_apart = len({path.name for path in paths}) == len(set(paths))
    return {path.name if are_told_apart else str(path): read_summary(path) for path in paths}


def to_tables(runs: Runs) -> RenderableType:
    """Renders the comparison for the terminal: the candidates, then what was set differently."""
    from components.report.comparison import changed_settings, is_fair, tables

    settings = changed_settings(runs)
    values = [
        Column(name, {key: row[name] for key, row in settings.items()}, is_number=False) for name in runs
    ]
    parts = [_table("run", names=list(runs), columns=columns) for columns in tables(runs).values()]
    if settings:
        parts.append(_table("setting", names=list(settings), columns=values))
    remarks = [] if is_fair(runs) else [Text(_NOT_FAIR, style="bold yellow")]
    return Group(*(part for table in parts for part in (table, "")), *remarks)


def _table(heading: str, *, names: Sequence[str], columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column(heading, overflow="fold")
    for column in columns:
        table.add_column(column.heading, justify="right" if column.is_number else "left", overflow="fold")
    for name in names:
        table.add_row(name, *(column.cells[name] for column in columns))
    return table


def write_comparison(runs: Runs, *, output: pathlib.Path) -> None:
    """Writes the comparison as a page.

    Args:
      runs: See `read_runs`.
      output: The HTML file to write.

    Raises:
      InputError: The file cannot be written.
    """
    from components.report.comparison import render_comparison

    try:
        write_text(output, render_comparison(runs))
    except OSError as error:
        raise InputError(
            f"--output {output}: cannot be written ({error.strerror}); give a file in a directory of yours."
        ) from None
