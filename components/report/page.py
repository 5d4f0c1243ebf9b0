"""The report of an evaluation as one HTML page that needs nothing else."""

import base64
import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jinja2
import yaml
from PIL import Image

from components.metrics import ACCURACY, METRICS, Metric
from components.report import figures, wording
from components.report.columns import UNKNOWN, Column, cost_columns, quality_columns, reference_columns
from components.report.summary import Difference, Evaluation, GapClosed, Reference, Summary, Variant

# An image of fewer pixels is shown as pixels; a larger one is smoothed.
_LARGEST_PIXELATED = 64

# The headings of the sections, by their ids.
_SECTIONS = {
    "models": "Models",
    "differences": "Is it better?",
    "gates": "Gates",
    "training": "Training",
    "search": "Search",
    "cost": "Accuracy and cost",
    "classes": "Classes",
    "confusion": "Confusion",
    "reliability": "Calibration",
    "disagreements": "Where they differ",
    "architecture": "Architecture",
    "drift": wording.DATA_CHECK,
    "data": "Data",
    "run": "The run",
}


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number that carries the verdict, what it is, and how sure it is."""

    what: str
    value: str
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTable:
    """The variants of a distillation as a table of texts."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def render(evaluation: Evaluation, *, disagreements: Sequence[Mapping[str, Any]] = ()) -> str:
    """Renders the report.

    Args:
      evaluation: What was measured and decided. A `Summary`, which is one, knows of its run, too: the page
        then has sections on the data and the run.
      disagreements: The images of `disagreements.json`.

    Returns:
      A whole HTML page; styles, charts and images are inside.
    """
    run = evaluation if isinstance(evaluation, Summary) else None
    charts = _draw(evaluation.model_dump_json(include=set(Evaluation.model_fields)))
    optional = {
        "training": charts["curves"],
        "search": evaluation.searches,
        "reliability": charts["reliabilities"],
        "disagreements": disagreements,
        "drift": evaluation.data_check,
        "data": run,
        "run": run,
    }
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            run=run,
            disagreements=disagreements,
            smooth=[_is_large(image["image"]) for image in disagreements],
            tables=_tables(evaluation),
            in_nats=_names(metric for metric in METRICS if metric.unit == "nats"),
            better_low=_names(metric for metric in METRICS if metric.better == "low"),
            facts=list(_facts(evaluation)),
            sections={id_: name for id_, name in _SECTIONS.items() if optional.get(id_, True)},
            **charts,
            searches=[_search(evaluation, name) for name in evaluation.searches],
            balance=figures.class_balance(run.data["train"]) if run else None,
        )
    )


@functools.lru_cache(maxsize=1)
def _draw(evaluation: str) -> dict[str, Any]:
    """Draws an evaluation, given as JSON: once for the Evaluator's page and that of the run behind it."""
    drawn = Evaluation.model_validate_json(evaluation)
    return {
        "curves": figures.training_curves(drawn),
        "differences": figures.differences(drawn.differences, names=list(drawn.models)),
        "trade_offs": figures.trade_offs(drawn.models),
        "class_errors": figures.class_errors(drawn),
        "confusions": figures.confusions(drawn),
        "reliabilities": figures.reliabilities(drawn.models),
    }


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
        "in_unit": wording.in_unit,
        "p_value": wording.p_value,
        "times": wording.ratio,
        "training_images": wording.training_images,
        "yaml": functools.partial(yaml.safe_dump, sort_keys=False),
    }
    return found


def _tables(evaluation: Evaluation) -> dict[str, list[Column]]:
    """Returns the tables of models, by their captions."""
    caption = f"Quality on the test split: {_images(evaluation.test_examples)}, the same for every model"
    return {
        caption: quality_columns(evaluation.models),
        **_reference_table(evaluation.reference),
        "Cost": cost_columns(evaluation.models),
    }


def _reference_table(reference: Reference | None) -> dict[str, list[Column]]:
    """Returns the table of the reference images by its caption, if there are any."""
    if reference is None:
        return {}
    caption = f"Quality on the reference images: {_images(reference.examples)}, the same in every run"
    return {caption: reference_columns(reference.models)}


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _search(evaluation: Evaluation, name: str) -> SearchTable:
    """Lays out the variants of a distillation, the best first and those that diverged last."""
    variants = sorted(
        evaluation.searches[name],
        key=lambda each: (
            not each.chosen,
            each.diverged_in or 0,
            -(each.val_accuracy or 0),
            each.val_loss or 0,
        ),
    )
    measure = "agreement" if evaluation.histories[name].reference == "teacher" else "accuracy"
    decimals = wording.telling_decimals(
        each.val_accuracy for each in variants if each.val_accuracy is not None
    )
    return SearchTable(
        caption=f"{name}: the {len(variants)} variants on the validation split"
        f"{wording.diverged(sum(each.diverged_in is not None for each in variants))}",
        headings=[*variants[0].settings, measure, "cross-entropy", "best epoch", "epochs trained"],
        rows=[
            [
                *map(wording.setting, each.settings.values()),
                *_reached(each, decimals=decimals),
                str(each.epochs),
            ]
            for each in variants
        ],
    )


def _reached(variant: Variant, *, decimals: int) -> tuple[str, str, str]:
    """Writes the accuracy, the cross-entropy and the best epoch of a variant, or that it diverged."""
    if variant.diverged_in is not None or variant.val_accuracy is None:
        return f"diverged in epoch {variant.diverged_in}", UNKNOWN, UNKNOWN
    return (
        wording.percent(variant.val_accuracy, decimals=decimals),
        UNKNOWN if variant.val_loss is None else f"{variant.val_loss:.4f}",
        str(variant.best_epoch),
    )


def _names(metrics: Iterable[Metric]) -> str:
    return ", ".join(metric.heading for metric in metrics)


def _facts(evaluation: Evaluation) -> Iterator[Fact]:
    student, teacher = evaluation.student, evaluation.teacher
    accuracy = student.metric(ACCURACY)
    if accuracy is not None:
        yield Fact("accuracy on the test split", wording.percent(accuracy, decimals=2))
    yield from map(_lead, evaluation.leads)
    yield _gap_closed(evaluation.gap_closed[evaluation.candidate])
    if student.size_bytes and teacher.size_bytes:
        yield _cost(
            own=student.size_bytes,
            teachers=teacher.size_bytes,
            words=("smaller than the teacher", "larger than the teacher"),
            write=wording.file_size,
        )
    if student.latency_ms and teacher.latency_ms:
        yield _cost(
            own=student.latency_ms.median,
            teachers=teacher.latency_ms.median,
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


def _lead(each: Difference) -> Fact:
    what = f"accuracy against {each.baseline}"
    if each.estimate is None:
        return Fact(what, "undefined")
    return Fact(
        what,
        wording.signed_points(each.estimate),
        _interval(each.confidence_interval, write=lambda end: wording.difference(end, metric=each.metric)),
    )


def _gap_closed(gap: GapClosed) -> Fact:
    what = "of the gap between scratch and teacher closed"
    if gap.estimate is None:
        return Fact(what, "undefined", gap.reason or "")
    return Fact(
        what,
        wording.percent(gap.estimate, decimals=0),
        _interval(gap.confidence_interval, write=lambda end: wording.percent(end, decimals=0)),
    )


def _interval(interval: tuple[float, float] | None, *, write: Callable[[float], str]) -> str:
    return "" if interval is None else f"interval {write(interval[0])} to {write(interval[1])}"


def _is_large(image: str) -> bool:
    """Returns whether an image, a data URL, is too large to be shown pixel by pixel."""
    _, _, content = image.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as opened:
        return max(opened.size) > _LARGEST_PIXELATED
