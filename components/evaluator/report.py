"""The report of an evaluation as one HTML page that needs nothing else."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from components.evaluator.charts import line_chart
from components.evaluator.verdict import best_epoch
from components.evaluator.wording import duration, file_size, percent, telling_decimals

_TEMPLATE = "report.html.j2"


def render(summary: Mapping[str, Any], *, histories: Mapping[str, Mapping[str, Any]]) -> str:
    """Renders the report.

    Args:
      summary: The content of `evaluation.json`, or that of a run's `summary.json`, which has more.
      histories: `{"best_epoch": k, "epochs": [{"epoch", "val_accuracy", ...}, ...]}` by model.

    Returns:
      A whole HTML page; styles and charts are inside.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    accuracies = [model["accuracy"] for model in summary["models"].values()]
    environment.filters |= {
        "percent": percent,
        "count": "{:,}".format,
        "file_size": file_size,
        "duration": duration,
    }
    return environment.get_template(_TEMPLATE).render(
        summary=summary,
        decimals=telling_decimals(accuracies),
        curves=Markup(_draw_curves(histories)),
        best={name: best_epoch(history) for name, history in histories.items()},
        histories=histories,
    )


def _draw_curves(histories: Mapping[str, Mapping[str, Any]]) -> str:
    return line_chart(
        {
            name: [(epoch["epoch"], epoch["val_accuracy"]) for epoch in history["epochs"]]
            for name, history in histories.items()
        },
        x_label="epoch",
        y_label="validation accuracy",
        marks={name: history["best_epoch"] for name, history in histories.items()},
    )
