"""The report of an evaluation as one HTML page that needs nothing else."""

import base64
import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jinja2
import yaml
from PIL import Image

from components.report import figures, wording
from components.report.columns import Column, cost_columns, quality_columns

# An image of fewer pixels is shown as pixels; a larger one is smoothed.
_LARGEST_PIXELATED = 64

Summary = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number that carries the verdict, what it is, and how sure it is."""

    what: str
    value: str
    detail: str = ""


def render(summary: Summary, *, disagreements: Sequence[Mapping[str, Any]] = ()) -> str:
    """Renders the report.

    Args:
      summary: The content of `evaluation.json`, or that of a run's `summary.json`, which has more. What an
        older one lacks is left out of the page.
      disagreements: The images of `disagreements.json`.

    Returns:
      A whole HTML page; styles, charts and images are inside.
    """
    shown = {
        "curves": figures.training_curves(summary),
        "differences": figures.differences(summary),
        "trade_offs": figures.trade_offs(summary),
        "class_errors": figures.class_errors(summary),
        "confusions": figures.confusions(summary),
        "reliabilities": figures.reliabilities(summary),
        "balance": figures.class_balance(summary),
    }
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            disagreements=disagreements,
            smooth=[_is_large(image["image"]) for image in disagreements],
            tables=_tables(summary),
            facts=list(_facts(summary)),
            sections=_sections(summary, disagreements=disagreements, shown=shown),
            configuration=_as_yaml(summary.get("configuration")),
            longest_node=max((node["seconds"] for node in summary.get("nodes", {}).values()), default=0) or 1,
            **shown,
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """Returns what finds the templates and gives them the words for numbers."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "percent": wording.percent,
        "count": "{:,}".format,
        "file_size": wording.file_size,
        "duration": wording.duration,
        "difference": wording.difference,
        "measured": wording.measured,
        "p_value": wording.p_value,
        "times": wording.ratio,
    }
    return found


def _tables(summary: Summary) -> dict[str, list[Column]]:
    """Returns the tables of models, by their captions."""
    images = "1 image" if summary["test_examples"] == 1 else f"{summary['test_examples']:,} images"
    return {
        f"Quality on the test split: {images}, the same for every model": quality_columns(summary["models"]),
        "Cost": cost_columns(summary["models"]),
    }


def _sections(
    summary: Summary, *, disagreements: Sequence[Mapping[str, Any]], shown: Mapping[str, Any]
) -> dict[str, str]:
    """Returns the headings of the sections that the page has, by their ids."""
    headings = {
        "models": ("Models", True),
        "differences": ("Is it better?", summary.get("differences")),
        "gates": ("Gates", True),
        "training": ("Training", shown["curves"]),
        "cost": ("Accuracy and cost", True),
        "classes": ("Classes", True),
        "confusion": ("Confusion", shown["confusions"]),
        "reliability": ("Reliability", shown["reliabilities"]),
        "disagreements": ("Where they differ", disagreements),
        "architecture": ("Architecture", True),
        "data": ("Data", "data" in summary),
        "run": ("The run", "nodes" in summary),
    }
    return {id_: heading for id_, (heading, is_there) in headings.items() if is_there}


def _facts(summary: Summary) -> Iterator[Fact]:
    candidate, teacher = summary["models"][summary["candidate"]], summary["models"]["teacher"]
    if candidate["accuracy"] is not None:
        yield Fact("accuracy on the test split", wording.percent(candidate["accuracy"], decimals=2))
    for each in summary.get("differences", ()):
        if (each["candidate"], each["metric"], each["slice"]) == (summary["candidate"], "accuracy", None):
            yield _difference(each)
    gap = summary.get("gap_closed", {}).get(summary["candidate"])
    if gap:
        yield _gap_closed(gap)
    yield _cost(
        own=candidate["size_bytes"],
        teachers=teacher["size_bytes"],
        words=("smaller than the teacher", "larger than the teacher"),
        write=wording.file_size,
    )
    if candidate.get("latency_ms") and teacher.get("latency_ms"):
        yield _cost(
            own=candidate["latency_ms"]["median"],
            teachers=teacher["latency_ms"]["median"],
            words=("faster than the teacher, one image", "slower than the teacher, one image"),
            write=wording.milliseconds,
        )


def _cost(*, own: float, teachers: float, words: tuple[str, str], write: Callable[[Any], str]) -> Fact:
    better, worse = words
    return Fact(
        better if own <= teachers else worse,
        wording.ratio(max(own, teachers), min(own, teachers)),
        f"{write(own)} instead of {write(teachers)}",
    )


def _difference(each: Mapping[str, Any]) -> Fact:
    what = f"accuracy against {each['baseline']}"
    if each["estimate"] is None:
        return Fact(what, "undefined")
    interval = each["confidence_interval"]
    detail = ""
    if interval:
        low, high = (wording.difference(bound, metric="accuracy") for bound in interval)
        detail = f"interval {low} to {high}"
    return Fact(what, wording.signed_points(each["estimate"]), detail)


def _gap_closed(gap: Mapping[str, Any]) -> Fact:
    what = "of the gap between scratch and teacher closed"
    if gap["estimate"] is None:
        return Fact(what, "undefined", gap["reason"])
    interval = gap["confidence_interval"]
    detail = interval and " to ".join(wording.percent(bound, decimals=0) for bound in interval)
    return Fact(what, wording.percent(gap["estimate"], decimals=0), f"interval {detail}" if detail else "")


def _is_large(image: str) -> bool:
    """Returns whether an image, a data URL, has more pixels than can be told apart."""
    _, _, content = image.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as opened:
        return max(opened.size) > _LARGEST_PIXELATED


def _as_yaml(configuration: Mapping[str, Any] | None) -> str:
    return yaml.safe_dump(configuration, sort_keys=False) if configuration else ""
