"""The figures of the report: each is a chart, what it shows in words, and a caption."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.report.charts import (
    Estimate,
    Line,
    bar_chart,
    interval_chart,
    line_chart,
    matrix_chart,
    reliability_chart,
    trade_off_chart,
)
from components.report.wording import amount, file_size, milliseconds, percent, signed, telling_decimals

MOST_CLASSES_SHOWN = 20
_MOST_CONFUSIONS_NAMED = 3

Summary = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart as an `<svg>` element, what it shows in words, and a caption in a few words."""

    svg: str
    alternative: str
    caption: str


def training_curves(summary: Summary) -> list[Figure]:
    """Draws scratch against each distilled student, and the teacher alone, in training and in validation.

    Where there is no scratch, each student is drawn alone. A teacher that was not trained in the run is left
    out.
    """
    histories = {name: each for name, each in summary.get("histories", {}).items() if each["epochs"]}
    students = [name for name in histories if summary["models"][name]["role"] == "distilled"]
    scratch = [name for name in histories if name == "scratch"]
    groups = [[*scratch, student] for student in students] + [["teacher"]]
    return [_accuracy_curves(summary, names=group) for group in groups if histories.keys() >= set(group)] + [
        _loss_curves(summary, names=list(histories)) for _ in range(bool(histories))
    ]


def _accuracy_curves(summary: Summary, *, names: Sequence[str]) -> Figure:
    title, measure = " and ".join(names), _measure(summary, names=names)
    best = " ".join(_best_epoch(name, summary["histories"][name]) for name in names)
    return Figure(
        svg=line_chart(
            f"{measure} of {title}",
            lines=[line for name in names for line in _accuracy_lines(summary, name=name)],
            x_label="epoch",
            y_label=measure,
            in_percent=True,
        ),
        alternative=f"{measure.capitalize()} of {title} by epoch. {best}",
        caption=f"{title}: {measure} after each epoch; a steep beginning may lie below. The marker is at the "
        f"epoch whose weights were kept.{_precision(summary, names=names)}",
    )


def _measure(summary: Summary, *, names: Sequence[str]) -> str:
    """Names what the accuracies in the histories of some models are."""
    references = {summary["histories"][name].get("reference", "labels") for name in names}
    return "agreement with the teacher" if references == {"teacher"} else "accuracy"


def _precision(summary: Summary, *, names: Sequence[str]) -> str:
    """Says what the models were trained in, as far as their histories tell."""
    precisions = {summary["histories"][name].get("precision") for name in names} - {None}
    return f" Trained in {' and '.join(sorted(precisions))}." if precisions else ""


def _accuracy_lines(summary: Summary, *, name: str) -> Iterator[Line]:
    history = summary["histories"][name]
    series = _series(summary, name)
    validation = _points(history, "val_accuracy")
    yield Line(name=f"{name}, validation", points=validation, series=series, mark=history["best_epoch"])
    if "accuracy" in history["epochs"][0]:
        yield Line(
            name=f"{name}, training", points=_points(history, "accuracy"), series=series, is_faint=True
        )


def _best_epoch(name: str, history: Mapping[str, Any]) -> str:
    accuracies = {epoch: share for epoch, share in _points(history, "val_accuracy") if share is not None}
    best = history["best_epoch"]
    share = percent(accuracies[best], decimals=telling_decimals(accuracies.values()))
    return f"{name}: best {share} in validation, in epoch {best} of {len(history['epochs'])}."


def _loss_curves(summary: Summary, *, names: Sequence[str]) -> Figure:
    lines = [
        Line(
            name=name,
            points=_points(summary["histories"][name], "val_loss"),
            series=_series(summary, name),
            mark=summary["histories"][name]["best_epoch"],
        )
        for name in names
    ]
    last = " ".join(f"{line.name}: {_number(line.points[-1][1])} after the last epoch." for line in lines)
    return Figure(
        svg=line_chart(
            "validation loss", lines=lines, x_label="epoch", y_label="cross-entropy (nats)", in_percent=False
        ),
        alternative=f"Validation cross-entropy by epoch. {last}",
        caption=f"Cross-entropy with the {_classes(summary, names=names)} on the validation split, the same "
        "measure for every model.",
    )


def _classes(summary: Summary, *, names: Sequence[str]) -> str:
    is_agreement = _measure(summary, names=names) != "accuracy"
    return "teacher's classes" if is_agreement else "labels"


def _points(history: Mapping[str, Any], key: str) -> list[tuple[float, float | None]]:
    return [(epoch["epoch"], epoch[key]) for epoch in history["epochs"]]


def trade_offs(summary: Summary) -> list[Figure]:
    """Draws accuracy against size and, where it was measured, latency."""
    sizes = {name: model["size_bytes"] for name, model in summary["models"].items()}
    latencies = {
        name: model["latency_ms"]["median"]
        for name, model in summary["models"].items()
        if model.get("latency_ms")
    }
    return [
        *_trade_off(summary, "size of the SavedModel (bytes)", costs=sizes, wording=file_size),
        *_trade_off(summary, "median latency of one image (ms)", costs=latencies, wording=milliseconds),
    ]


def _trade_off(summary: Summary, title: str, *, costs: Mapping[str, float], wording: Any) -> Iterator[Figure]:
    estimates = [
        Estimate(
            name=name,
            value=summary["models"][name]["accuracy"],
            interval=None,
            series=_series(summary, name),
            x=cost,
        )
        for name, cost in costs.items()
        if cost and summary["models"][name]["accuracy"] is not None
    ]
    if estimates:
        decimals = telling_decimals(each.value for each in estimates)
        shown = "; ".join(
            f"{each.name}: {percent(each.value, decimals=decimals)} at {wording(each.x)}"
            for each in estimates
        )
        yield Figure(
            svg=trade_off_chart(title, estimates=estimates, x_label=title),
            alternative=f"Test accuracy against {title}. {shown}.",
            caption=f"Accuracy on the test split against the {title}. Up and to the left is better.",
        )


def differences(summary: Summary) -> Figure | None:
    """Draws the differences in accuracy with their intervals; None where none was measured."""
    estimates = [
        Estimate(
            name=f"{each['candidate']} against {each['baseline']}",
            value=100 * each["estimate"],
            interval=interval and (100 * interval[0], 100 * interval[1]),
            series=_series(summary, each["candidate"]),
        )
        for each in summary.get("differences", ())
        if each["metric"] == "accuracy" and each["slice"] is None and each["estimate"] is not None
        for interval in (each["confidence_interval"],)
    ]
    if not estimates:
        return None
    shown = "; ".join(f"{each.name}: {signed(each.value, decimals=2)}{_interval(each)}" for each in estimates)
    return Figure(
        svg=interval_chart("differences", estimates=estimates, x_label="difference in accuracy (points)"),
        alternative=f"Differences in test accuracy, in percentage points. {shown}.",
        caption="An interval that crosses the line at zero leaves open which of the two models is better.",
    )


def _interval(estimate: Estimate) -> str:
    if estimate.interval is None:
        return ""
    low, high = (signed(bound, decimals=2) for bound in estimate.interval)
    return f", interval {low} to {high}"


def class_errors(summary: Summary) -> Figure:
    """Draws the share of each class's images that a model gets wrong; of many classes the worst."""
    models = summary["models"]
    shown = _worst_classes(summary)
    bars = {name: [_error(model, each) for each in shown] for name, model in models.items()}
    which = f"The {len(shown)} classes" if len(shown) < len(summary["class_names"]) else "The classes"
    worst = shown[0] if len(shown) < len(summary["class_names"]) else _worst_classes(summary, most=1)[0]
    words = ", ".join(f"{name} {_percent(_error(model, worst))}" for name, model in models.items())
    return Figure(
        svg=bar_chart("classes", groups=shown, bars=bars, series=[_series(summary, name) for name in models]),
        alternative=f"Errors for each class. Most errors of {summary['candidate']}: {worst}, with {words}.",
        caption=f"{which}: share of the test images of each that a model puts into another class. "
        "Shorter is better.",
    )


def _worst_classes(summary: Summary, *, most: int = MOST_CLASSES_SHOWN) -> list[str]:
    """Returns all classes in their order or, of more than `most`, the candidate's worst, worst first."""
    names = list(summary["class_names"])
    if len(names) <= most:
        return names
    candidate = summary["models"][summary["candidate"]]
    return sorted(names, key=lambda name: -(_error(candidate, name) or 0))[:most]


def _error(model: Mapping[str, Any], class_name: str) -> float | None:
    accuracy = model["per_class"][class_name]["accuracy"]
    return None if accuracy is None else 1 - accuracy


def confusions(summary: Summary) -> list[Figure]:
    """Draws the confusion matrix of each model that has one."""
    return [
        Figure(
            svg=matrix_chart(
                f"confusion of {name}",
                matrix=model["confusion_matrix"],
                class_names=summary["class_names"],
            ),
            alternative=f"Confusion matrix of {name}. {_confusions(model, summary['class_names'])}",
            caption=f"{name}. {_confusions(model, summary['class_names'])}",
        )
        for name, model in summary["models"].items()
        if model.get("confusion_matrix")
    ]


def _confusions(model: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """Names the most frequent confusions."""
    found = [
        (count, class_names[label], class_names[prediction])
        for label, row in enumerate(model["confusion_matrix"])
        for prediction, count in enumerate(row)
        if count and label != prediction
    ]
    if not found:
        return "Nothing was confused."
    most = sorted(found, key=lambda each: -each[0])[:_MOST_CONFUSIONS_NAMED]
    words = "; ".join(
        f"{label} taken for {prediction}, {'once' if count == 1 else f'{count} times'}"
        for count, label, prediction in most
    )
    return f"Most frequent: {words}."


def reliabilities(summary: Summary) -> list[Figure]:
    """Draws the reliability diagram of each model that has one."""
    return [
        Figure(
            svg=reliability_chart(f"reliability of {name}", bins=bins, series=_series(summary, name)),
            alternative=f"Reliability diagram of {name}. Accuracy by mean confidence: "
            + "; ".join(f"{percent(accuracy)} at {percent(confidence)}" for confidence, accuracy, _ in bins)
            + ".",
            caption=f"{name}. Expected calibration error: {_percent(model['expected_calibration_error'])}.",
        )
        for name, model in summary["models"].items()
        if (bins := _filled_bins(model))
    ]


def _filled_bins(model: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    return [
        (each["confidence"], each["accuracy"], each["count"])
        for each in model.get("reliability", ())
        if each["count"]
    ]


def class_balance(summary: Summary) -> Figure | None:
    """Draws the share of each class in the training split; None where it was not counted."""
    counts = summary.get("data", {}).get("train", {}).get("classes")
    if not counts or len(counts) > MOST_CLASSES_SHOWN:
        return None
    total = sum(counts.values())
    smallest, largest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    return Figure(
        svg=bar_chart(
            "balance",
            groups=list(counts),
            bars={"train": [count / total for count in counts.values()]},
            series=[0],
        ),
        alternative=f"Share of each class in the training split. Fewest: {smallest}, "
        f"{amount(counts[smallest])}; most: {largest}, {amount(counts[largest])}.",
        caption="Share of each class in the training split.",
    )


def _series(summary: Summary, name: str) -> int:
    """Returns the number that gives a model its colour and its marker, the same in all charts."""
    return list(summary["models"]).index(name)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else percent(share)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"
