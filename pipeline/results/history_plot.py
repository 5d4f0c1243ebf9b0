"""The accuracy of the versions that were pushed and refused, over time, as a figure."""

import datetime
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from components.errors import InputError
from components.serving.versions import Entry, Versions

_SUFFIXES = (".svg", ".png", ".pdf")
_SIZE = (7.0, 3.6)  # In inches.
_PIXELS_PER_INCH = 150
_INK = "#1f4e79"


def plot_history(versions: Versions, *, path: pathlib.Path) -> None:
    """Draws which accuracy was pushed or refused when; each on the test split of its own run.

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
    pushed = [entry for entry in entries if entry.event == "pushed"]
    refused = [entry for entry in entries if entry.event == "refused"]
    axes.plot(*_points(pushed), color=_INK, marker="o", drawstyle="steps-post", label="pushed")
    axes.plot(*_points(refused), color=_INK, marker="x", linestyle="", markersize=8, label="refused")
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(ylabel="accuracy on the test split")
    axes.grid(axis="y", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    try:
        figure.savefig(path, dpi=_PIXELS_PER_INCH)
    except OSError as error:
        raise InputError(f"--plot {path}: cannot be written ({error.strerror}).") from None


def _points(entries: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times, as Matplotlib counts them, and the accuracies."""
    times = [date2num(datetime.datetime.fromisoformat(entry.time)) for entry in entries]
    return np.array(times, float), np.array([entry.accuracy for entry in entries], float)
