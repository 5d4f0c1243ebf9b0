"""Charts as SVG that takes its colours and fonts from the page around it.

A model keeps its colour, its marker, its dash and its hatch in every chart: nothing is shown by colour alone.
"""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)
from matplotlib.typing import RcKeyType

# Matplotlib wants colours; the page wants names, so that they follow its light or dark scheme.
INK, GRID, PAPER, ON_HEAT = "#010203", "#010204", "#010205", "#010206"
SERIES = tuple(f"#0102{index:02x}" for index in range(16, 24))
_CSS = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)", ON_HEAT: "var(--on-heat)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)
}
_DASHES = ("-", "--", "-.")
_FAINT_DASH = ":"
_MARKERS = ("s", "^", "o", "D", "v", "P", "X", "*")
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "***")

# The colour of a full cell. The page brightens images in its dark scheme.
_HEAT = (0.09, 0.44, 0.71)
_STEPS = (1, 2, 2.5, 5, 10)
_MOST_NUMBERED_CLASSES = 12
_LONGEST_LABEL = 18
_LONGEST_PAIR = 36

# Inches of 72 units: letters of 10 units stay readable on a phone, and in three narrow charts side by side.
_WIDTH = 4.6
_NARROW = 3.5

_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.color": PAPER,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart.

    Attributes:
      name: Its name in the legend.
      points: `(x, y)`; a y that is None leaves a gap.
      series: The number of the model it belongs to.
      is_faint: Whether it stays in the background.
      mark: The x at which a marker stands, if any.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    series: int
    is_faint: bool = False
    mark: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its confidence interval, which may be unknown."""

    name: str
    value: float
    interval: tuple[float, float] | None
    series: int
    x: float = 0.0


def line_chart(title: str, *, lines: Sequence[Line], x_label: str, y_label: str, in_percent: bool) -> str:
    """Draws lines over whole numbers, such as accuracy over epochs; a steep start may lie outside.

    Args:
      title: Names the chart within its page; not shown.
      lines: The lines.
      x_label: What x is.
      y_label: What y is.
      in_percent: Whether y is a share in [0, 1].

    Returns:
      An `<svg>` element. Its colours are the page's: `--ink`, `--paper`, `--series-0` and so on.
    """
    with _figure(title, height=3.2) as (figure, axes, svg):
        for line in lines:
            _draw_line(axes, line)
        axes.set(xlabel=x_label, ylabel=y_label, ylim=_settled_range(lines))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=_STEPS))
        if in_percent:
            axes.yaxis.set_major_formatter(_percent)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=2)
    return svg.getvalue()


def _draw_line(axes: Axes, line: Line) -> None:
    x = [point[0] for point in line.points]
    y = [np.nan if point[1] is None else point[1] for point in line.points]
    axes.plot(
        x,
        y,
        label=_shortened(line.name, longest=_LONGEST_PAIR),
        color=_colour(line.series),
        linestyle=_FAINT_DASH if line.is_faint else _DASHES[line.series % len(_DASHES)],
        linewidth=1.2 if line.is_faint else 1.8,
        marker=_marker(line.series),
        markevery=[x.index(line.mark)] if line.mark in x else [],
        markersize=6,
    )


def _settled_range(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Returns the range of y without the first tenth of each line, beside which the rest may look flat."""
    settled = [y for line in lines for _, y in line.points[len(line.points) // 10 :] if y is not None]
    low, high = min(settled, default=0.0), max(settled, default=0.0)
    margin = 0.05 * (high - low)
    return (low - margin, high + margin) if margin else None


def interval_chart(title: str, *, estimates: Sequence[Estimate], x_label: str) -> str:
    """Draws differences with their confidence intervals beside a line at zero.

    Args:
      title: Names the chart within its page; not shown.
      estimates: From top to bottom, in the unit of the axis.
      x_label: What x is.

    Returns:
      An `<svg>` element; see `line_chart`.
    """
    with _figure(title, height=0.9 + 0.42 * len(estimates)) as (_, axes, svg):
        axes.axvline(0, color=INK, linewidth=0.8)
        for row, estimate in enumerate(estimates):
            _draw_estimate(axes, estimate, x=estimate.value, y=row, axis="x")
        names = [_shortened(estimate.name, longest=_LONGEST_PAIR) for estimate in estimates]
        axes.set_yticks(range(len(estimates)), names)
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=_STEPS))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    return svg.getvalue()


def trade_off_chart(title: str, *, estimates: Sequence[Estimate], x_label: str) -> str:
    """Draws accuracies against a cost on a logarithmic axis.

    Args:
      title: Names the chart within its page; not shown.
      estimates: Accuracies in [0, 1]; `x` is the cost, above 0.
      x_label: What the cost is.

    Returns:
      An `<svg>` element; see `line_chart`.
    """
    with _figure(title, height=3.0) as (figure, axes, svg):
        for estimate in estimates:
            _draw_estimate(axes, estimate, x=estimate.x, y=estimate.value, axis="y")
        axes.set_xscale("log")
        costs = [estimate.x for estimate in estimates]
        axes.set_xlim(min(costs) / 1.8, max(costs) * 1.8)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(_plain_number)
        axes.yaxis.set_major_formatter(_percent)
        axes.set(xlabel=x_label, ylabel="accuracy")
        axes.grid(axis="both")
        figure.legend(handles=[_key(each) for each in estimates], loc="outside upper left", ncols=3)
    return svg.getvalue()


def bar_chart(
    title: str, *, groups: Sequence[str], bars: Mapping[str, Sequence[float | None]], series: Sequence[int]
) -> str:
    """Draws shares as horizontal bars, one for each group and name.

    Args:
      title: Names the chart within its page; not shown.
      groups: The names of the groups, from top to bottom.
      bars: Shares in [0, 1], one for each group, by the name in the legend.
      series: The number of the model of each name.

    Returns:
      An `<svg>` element; see `line_chart`.
    """
    thickness = 0.8 / len(bars)
    with _figure(title, height=0.9 + len(groups) * (0.12 + 0.12 * len(bars))) as (figure, axes, svg):
        for position, ((name, shares), number) in enumerate(zip(bars.items(), series, strict=True)):
            axes.barh(
                np.arange(len(groups)) + (position - (len(bars) - 1) / 2) * thickness,
                [np.nan if share is None else share for share in shares],
                height=thickness * 0.9,
                color=_colour(number),
                hatch=_HATCHES[number % len(_HATCHES)],
                edgecolor=PAPER,
                linewidth=0,
                label=name,
            )
        axes.set_yticks(range(len(groups)), [_shortened(group) for group in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(_percent)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=_STEPS))
        axes.grid(axis="x")
        if len(bars) > 1:
            figure.legend(loc="outside upper left", ncols=3)
    return svg.getvalue()


def matrix_chart(title: str, *, matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> str:
    """Draws a confusion matrix; the fuller the colour of a cell, the larger its share of its row.

    Args:
      title: Names the chart within its page; not shown.
      matrix: Counts, by label and then by prediction.
      class_names: In the order of the labels.

    Returns:
      An `<svg>` element; see `line_chart`.
    """
    counts = np.asarray(matrix)
    # The cube root lifts the few errors of a good model out of the background.
    strength = np.cbrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    with _figure(title, height=_NARROW, width=_NARROW) as (_, axes, svg):
        axes.imshow(np.dstack([np.full((*counts.shape, 3), _HEAT), strength]), interpolation="none")
        axes.set(xlabel="prediction", ylabel="label")
        _name_ticks(axes, class_names)
        if len(class_names) <= _MOST_NUMBERED_CLASSES:
            for (label, prediction), count in np.ndenumerate(counts):
                if count:
                    colour = ON_HEAT if strength[label, prediction] > 0.6 else INK
                    axes.text(prediction, label, str(count), ha="center", va="center", color=colour, size=7)
    return svg.getvalue()


def _name_ticks(axes: Axes, class_names: Sequence[str]) -> None:
    step = -(-len(class_names) // 20)
    ticks = range(0, len(class_names), step)
    names = [_shortened(class_names[tick]) for tick in ticks]
    upright = max(map(len, names)) > 3
    axes.set_xticks(ticks, names, rotation=90 if upright else 0)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0)


def reliability_chart(title: str, *, bins: Sequence[tuple[float, float, int]], series: int) -> str:
    """Draws the accuracy of a model against its confidence.

    Args:
      title: Names the chart within its page; not shown.
      bins: Mean confidence, accuracy, number of examples of each bin that has any.
      series: The number of the model.

    Returns:
      An `<svg>` element; see `line_chart`.
    """
    confidences, accuracies, counts = (np.array(column) for column in zip(*bins, strict=True))
    with _figure(title, height=3.0, width=_NARROW) as (_, axes, svg):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
        axes.vlines(confidences, confidences, accuracies, color=_colour(series), linewidth=1)
        axes.scatter(
            confidences,
            accuracies,
            s=10 + 150 * counts / counts.sum(),
            color=_colour(series),
            marker=_marker(series),
            clip_on=False,
        )
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)
        axes.grid(axis="both")
    return svg.getvalue()


def _draw_estimate(axes: Axes, estimate: Estimate, *, x: float, y: float, axis: str) -> None:
    colour = _colour(estimate.series)
    if estimate.interval is not None:
        low, high = estimate.interval
        ends = ([low, high], [y, y]) if axis == "x" else ([x, x], [low, high])
        axes.plot(*ends, color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot(x, y, color=colour, marker=_marker(estimate.series), markersize=7)


def _key(estimate: Estimate) -> Line2D:
    return Line2D(
        [],
        [],
        color=_colour(estimate.series),
        marker=_marker(estimate.series),
        linestyle="",
        label=estimate.name,
    )


def _colour(series: int) -> str:
    return SERIES[series % len(SERIES)]


def _marker(series: int) -> str:
    return _MARKERS[series % len(_MARKERS)]


def _shortened(name: str, *, longest: int = _LONGEST_LABEL) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


@FuncFormatter
def _percent(share: float, _: int) -> str:
    """Writes a tick as `97.5 %`."""
    return f"{100 * share:.4g}\N{NO-BREAK SPACE}%"


@FuncFormatter
def _plain_number(value: float, _: int) -> str:
    """Writes a tick as `0.5`, `20`, `3k` or `4M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


@contextlib.contextmanager
def _figure(
    title: str, *, height: float, width: float = _WIDTH
) -> Iterator[tuple[Figure, Axes, io.StringIO]]:
    """Gives a figure to draw on; afterwards the file holds its SVG.

    The title decides the ids within the SVG: charts of one page do not share any, and the same chart has the
    same bytes each time.
    """
    svg = io.StringIO()
    style: dict[RcKeyType, Any] = {"svg.hashsalt": title}
    with matplotlib.rc_context(_STYLE | style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot(), svg
        svg.write(_to_svg(figure))


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
