"""The models of an evaluation, and its verdict, as lines of a terminal or of a log."""

import io

from rich import box
from rich.console import Console
from rich.table import Table

from components.metrics import METRICS, Metric
from components.report.columns import UNKNOWN, write_metric
from components.report.summary import Evaluation
from components.report.wording import file_size

_NOT_FINITE = "not finite"
_UNKNOWN_TEACHER = f"{UNKNOWN} is unknown: the teacher is known by its predictions alone."
_WIDE = 1000  # Nothing is broken that one may want to copy.


def to_table(evaluation: Evaluation) -> Table:
    """Lays out the models with the metrics that matter most, and with what they cost."""
    headlines = [metric for metric in METRICS if metric.is_headline]
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("model", overflow="fold")
    for heading in (*(metric.name.replace("_", " ") for metric in headlines), "parameters", "size"):
        table.add_column(heading, overflow="fold", justify="right")
    for name, model in evaluation.models.items():
        qualities = [_write(model.metric(metric), metric=metric) for metric in headlines]
        parameters = UNKNOWN if model.parameters is None else f"{model.parameters:,}"
        size = UNKNOWN if model.size_bytes is None else file_size(model.size_bytes)
        table.add_row(evaluation.display_names[name], *qualities, parameters, size)
    if evaluation.teacher.parameters is None:
        table.caption, table.caption_justify = _UNKNOWN_TEACHER, "left"
    return table


def to_text(evaluation: Evaluation) -> str:
    """Writes the table of the models and the verdicts as plain text."""
    text = io.StringIO()
    Console(file=text, width=_WIDE).print(to_table(evaluation))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join([*lines, "", *evaluation.verdicts])


def _write(value: float | None, *, metric: Metric) -> str:
    return _NOT_FINITE if value is None else write_metric(value, metric=metric)
