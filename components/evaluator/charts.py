"""Charts as SVG that takes its colours and fonts from the page around it."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType

# Matplotlib wants colours; the page wants names, so that they follow its light or dark scheme.
INK, GRID = "#010203", "#010204"
SERIES = tuple(f"#0102{index:02x}" for index in range(16, 24))
_CSS = {INK: "var(--ink)", GRID: "var(--grid)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)
}
_DASHES = ("-", "--", "-.", ":")

# One salt gives the same ids, and so the same bytes, for the same chart.
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "chart",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.frameon": False,
}


def line_chart(
    series: Mapping[str, Sequence[tuple[int, float]]], *, x_label: str, y_label: str, marks: Mapping[str, int]
) -> str:
    """Draws shares over whole numbers, such as accuracy over epochs.

    Args:
      series: Points `(x, y)`, y in [0, 1], by the name of the line.
      x_label: What x is.
      y_label: What y is.
      marks: For each line, the x at which a dot stands.

    Returns:
      An `<svg>` element. Colours are the page's `--ink`, `--grid` and `--series-0` to `--series-7`.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for index, (name, points) in enumerate(series.items()):
            colour = SERIES[index % len(SERIES)]
            dash = _DASHES[index % len(_DASHES)]
            axes.plot(*zip(*points, strict=True), color=colour, linestyle=dash, linewidth=1.8, label=name)
            marked = dict(points)[marks[name]]
            axes.plot(marks[name], marked, color=colour, marker="o", markersize=6)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.grid(axis="y", linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=3)
        return _to_svg(figure)


def _to_svg(figure: Figure) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing, transparent=True)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # Without the XML and DOCTYPE lines, which no HTML page holds.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # Every chart has the same ones, and nothing refers to them.
    for colour, name in _CSS.items():
        svg = svg.replace(colour, name)
    return svg
