"""The accuracy of the versions that were pushed and refused, over time, as a figure."""

import datetime
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from components.errors import InputError
from components.serving.versions import Entry, Versions

_SUFFIXES = (".svg", ".png", ".pdf")
_SIZE = (7.0, 3.6)  # In inches.
_PIXELS_PER_INCH = 150


class _Series(NamedTuple):
    """An accuracy of each student, the images that it was measured on, and how it is drawn."""

    attribute: str
    images: str
    colour: str
    line: str


_SERIES = (
    _Series("accuracy", "test split", colour="#1f4e79", line="-"),
    _Series("reference_accuracy", "reference images", colour="#c2410c", line="--"),
)


def plot_history(versions: Versions, *, path: pathlib.Path) -> None:
    """Draws which accuracy was pushed or refused when: on the test split of its run, and on reference images.

    Args:
      versions: The pushed versions.
      path: The file to write; its suffix says in which format.

    Raises:
      InputError: There is nothing to draw, the suffix is that of no format, or the file cannot be written.
    """
    if path.suffix not in _SUFFIXES:
        raise InputError(f"--plot {path}: got the suffix {path.suffix!r}; allowed: {', '.join(_SUFFIXES)}.")
    entries = [entry for entry in versions.history() if entry.accuracy is not None]
    if not entries:
        raise InputError(f"{versions.directory} holds no history with accuracies; run an experiment first.")
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    for series in _SERIES:
        _draw(axes, [entry for entry in entries if getattr(entry, series.attribute) is not None], series)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(ylabel="accuracy")
    axes.grid(axis="y", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    try:
        figure.savefig(path, dpi=_PIXELS_PER_INCH)
    except OSError as error:
        raise InputError(f"--plot {path}: cannot be written ({error.strerror}).") from None


def _draw(axes: Axes, entries: Sequence[Entry], series: _Series) -> None:
    """Draws the students that were pushed as steps, and those that were refused as crosses."""
    for event, line, marker in (("pushed", series.line, "o"), ("refused", "", "x")):
        those = [entry for entry in entries if entry.event == event]
        if those:
            axes.plot(
                *_points(those, series),
                color=series.colour,
                drawstyle="steps-post",
                linestyle=line,
                marker=marker,
                label=f"{event}, on the {series.images}",
            )


def _points(entries: Sequence[Entry], series: _Series) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times, as Matplotlib counts them, and the accuracies."""
    times = [date2num(datetime.datetime.fromisoformat(entry.time)) for entry in entries]
    return np.array(times, float), np.array([getattr(entry, series.attribute) for entry in entries], float)
