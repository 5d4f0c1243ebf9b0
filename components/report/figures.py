"""The figures of the report: each is a chart, what it shows in words, and a caption."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from components.metrics import ACCURACY, BY_NAME
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
from components.report.summary import Difference, Epoch, Evaluation, History, Model, Split
from components.report.wording import amount, file_size, milliseconds, percent, signed, telling_decimals

MOST_CLASSES_SHOWN = 20
_MOST_CONFUSIONS_NAMED = 3
_CALIBRATION_ERROR = BY_NAME["expected_calibration_error"]

Models = Mapping[str, Model]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart as an `<svg>` element, what it shows in words, and a caption in a few words."""

    svg: str
    alternative: str
    caption: str


def training_curves(evaluation: Evaluation) -> list[Figure]:
    """Draws scratch against each distilled student, and the teacher alone, in training and in validation.

    Where there is no scratch, each student is drawn alone. A teacher that was not trained in the run is left
    out.
    """
    trained = {name: history for name, history in evaluation.histories.items() if history.epochs}
    if not trained:
        return []
    series = {name: _series(evaluation.models, name) for name in trained}
    students = [name for name in trained if evaluation.models[name].role == "distilled"]
    scratch = [name for name in trained if name == "scratch"]
    groups = [[*scratch, student] for student in students]
    if "teacher" in trained:
        groups.append(["teacher"])
    figures = [_accuracy_curves({name: trained[name] for name in group}, series=series) for group in groups]
    return [*figures, _loss_curves(trained, series=series)]


def _accuracy_curves(histories: Mapping[str, History], *, series: Mapping[str, int]) -> Figure:
    title, measure = " and ".join(histories), _measure(histories)
    best = " ".join(_best_epoch(name, history) for name, history in histories.items())
    lines = [
        line
        for name, history in histories.items()
        for line in _accuracy_lines(name, history, series=series[name])
    ]
    return Figure(
        svg=line_chart(
            f"{measure} of {title}", lines=lines, x_label="epoch", y_label=measure, in_percent=True
        ),
        alternative=f"{measure.capitalize()} of {title} by epoch. {best}",
        caption=f"{title}: {measure} after each epoch; a steep start may lie below the chart. The marker is "
        f"at the epoch whose weights were kept.{_precision(histories)}",
    )


def _measure(histories: Mapping[str, History]) -> str:
    """Names what the accuracies in some histories are."""
    references = {history.reference for history in histories.values()}
    return "agreement with the teacher" if references == {"teacher"} else "accuracy"


def _precision(histories: Mapping[str, History]) -> str:
    """Says what the models were trained in, as far as their histories tell."""
    precisions = {history.precision for history in histories.values() if history.precision is not None}
    return f" Trained in {' and '.join(sorted(precisions))}." if precisions else ""


def _accuracy_lines(name: str, history: History, *, series: int) -> Iterator[Line]:
    validation = _points(history, lambda epoch: epoch.val_accuracy)
    training = _points(history, lambda epoch: epoch.accuracy)
    yield Line(name=f"{name}, validation", points=validation, series=series, mark=history.best_epoch)
    yield Line(name=f"{name}, training", points=training, series=series, is_faint=True)


def _best_epoch(name: str, history: History) -> str:
    decimals = telling_decimals(each.val_accuracy for each in history.epochs)
    share = percent(history.best.val_accuracy, decimals=decimals)
    return f"{name}: best {share} in validation, in epoch {history.best_epoch} of {len(history.epochs)}."


def _loss_curves(histories: Mapping[str, History], *, series: Mapping[str, int]) -> Figure:
    lines = [
        Line(
            name=name,
            points=_points(history, lambda epoch: epoch.val_loss),
            series=series[name],
            mark=history.best_epoch,
        )
        for name, history in histories.items()
    ]
    last = " ".join(f"{line.name}: {_number(line.points[-1][1])} after the last epoch." for line in lines)
    targets = "labels" if _measure(histories) == "accuracy" else "teacher's classes"
    return Figure(
        svg=line_chart(
            "validation loss", lines=lines, x_label="epoch", y_label="cross-entropy (nats)", in_percent=False
        ),
        alternative=f"Validation cross-entropy by epoch. {last}",
        caption=f"Cross-entropy with the {targets} on the validation split, measured alike for every model.",
    )


def _points(history: History, read: Callable[[Epoch], float | None]) -> list[tuple[float, float | None]]:
    return [(epoch.epoch, read(epoch)) for epoch in history.epochs]


def trade_offs(models: Models) -> list[Figure]:
    """Draws accuracy against size and latency, of the models of which they are known."""
    sizes = {name: model.size_bytes for name, model in models.items() if model.size_bytes}
    latencies = {name: model.latency_ms.median for name, model in models.items() if model.latency_ms}
    figures = (
        _trade_off(models, "size of the served model (bytes)", costs=sizes, write=file_size),
        _trade_off(models, "median latency of one image (ms)", costs=latencies, write=milliseconds),
    )
    return [figure for figure in figures if figure is not None]


def _trade_off(
    models: Models, title: str, *, costs: Mapping[str, float], write: Callable[[float], str]
) -> Figure | None:
    accuracies = {name: models[name].metric(ACCURACY) for name, cost in costs.items() if cost}
    estimates = [
        Estimate(name=name, value=value, interval=None, series=_series(models, name), x=costs[name])
        for name, value in accuracies.items()
        if value is not None
    ]
    if not estimates:
        return None
    decimals = telling_decimals(each.value for each in estimates)
    unknown = ", ".join(name for name in models if name not in costs)
    shown = "; ".join(
        f"{each.name}: {percent(each.value, decimals=decimals)} at {write(each.x)}" for each in estimates
    )
    return Figure(
        svg=trade_off_chart(title, estimates=estimates, x_label=title),
        alternative=f"Test accuracy against {title}. {shown}.",
        caption=f"Accuracy on the test split against the {title}. Up and to the left is better."
        f"{f' That of {unknown} is unknown.' if unknown else ''}",
    )


def differences(found: Sequence[Difference], *, names: Sequence[str]) -> Figure | None:
    """Draws the differences in accuracy with their intervals; None where none is defined.

    Args:
      found: Differences between models.
      names: The names of all models, whose order gives each its colour.
    """
    estimates = [
        Estimate(
            name=f"{each.candidate} against {each.baseline}",
            value=100 * each.estimate,
            interval=_in_points(each.confidence_interval),
            series=names.index(each.candidate),
        )
        for each in found
        if each.metric == ACCURACY.name and each.estimate is not None
    ]
    if not estimates:
        return None
    shown = "; ".join(f"{each.name}: {signed(each.value, decimals=2)}{_interval(each)}" for each in estimates)
    return Figure(
        svg=interval_chart("differences", estimates=estimates, x_label="difference in accuracy (points)"),
        alternative=f"Differences in test accuracy, in percentage points. {shown}.",
        caption="An interval that crosses the line at zero leaves open which model is better.",
    )


def _in_points(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def _interval(estimate: Estimate) -> str:
    if estimate.interval is None:
        return ""
    low, high = (signed(bound, decimals=2) for bound in estimate.interval)
    return f", interval {low} to {high}"


def class_errors(evaluation: Evaluation) -> Figure:
    """Draws the share of each class's images that a model gets wrong; of many classes the worst."""
    models = evaluation.models
    shown = _worst_classes(evaluation)
    bars = {name: [_error(model, each) for each in shown] for name, model in models.items()}
    is_all = len(shown) == len(evaluation.class_names)
    which = "The classes" if is_all else f"The {len(shown)} classes with the most errors of the candidate"
    (worst,) = _worst_classes(evaluation, most=1)
    words = ", ".join(f"{name} {_percent(_error(model, worst))}" for name, model in models.items())
    return Figure(
        svg=bar_chart("classes", groups=shown, bars=bars, series=range(len(models))),
        alternative=f"Errors for each class. Most errors of {evaluation.candidate}: {worst}, with {words}.",
        caption=f"{which}: share of the test images of each that a model puts into another class. "
        "Shorter is better.",
    )


def _worst_classes(evaluation: Evaluation, *, most: int = MOST_CLASSES_SHOWN) -> list[str]:
    """Returns all classes in their order or, of more than `most`, the candidate's worst, worst first."""
    names = list(evaluation.class_names)
    if len(names) <= most:
        return names
    return sorted(names, key=lambda name: -(_error(evaluation.student, name) or 0))[:most]


def _error(model: Model, class_name: str) -> float | None:
    accuracy = model.per_class[class_name].metric(ACCURACY)
    return None if accuracy is None else 1 - accuracy


def confusions(evaluation: Evaluation) -> list[Figure]:
    """Draws the confusion matrix of each model."""
    class_names = evaluation.class_names
    return [
        Figure(
            svg=matrix_chart(f"confusion of {name}", matrix=model.confusion_matrix, class_names=class_names),
            alternative=f"Confusion matrix of {name}. {_confusions(model, class_names)}",
            caption=f"{name}. {_confusions(model, class_names)}",
        )
        for name, model in evaluation.models.items()
    ]


def _confusions(model: Model, class_names: Sequence[str]) -> str:
    """Names the most frequent confusions."""
    found = [
        (count, class_names[label], class_names[prediction])
        for label, row in enumerate(model.confusion_matrix)
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


def reliabilities(models: Models) -> list[Figure]:
    """Draws the reliability diagram of each model that has given a finite output."""
    filled = {name: _filled_bins(model) for name, model in models.items()}
    return [_reliability(models, name, bins=bins) for name, bins in filled.items() if bins]


def _reliability(models: Models, name: str, *, bins: Sequence[tuple[float, float, int]]) -> Figure:
    shown = "; ".join(f"{percent(accuracy)} at {percent(confidence)}" for confidence, accuracy, _ in bins)
    error = _percent(models[name].metric(_CALIBRATION_ERROR))
    return Figure(
        svg=reliability_chart(f"reliability of {name}", bins=bins, series=_series(models, name)),
        alternative=f"Reliability diagram of {name}. Accuracy by mean confidence: {shown}.",
        caption=f"{name}. Expected calibration error: {error}.",
    )


def _filled_bins(model: Model) -> list[tuple[float, float, int]]:
    return [
        (each.confidence, each.accuracy, each.count)
        for each in model.reliability
        if each.confidence is not None and each.accuracy is not None
    ]


def class_balance(train: Split) -> Figure | None:
    """Draws the share of each class in the training split; None of many classes, or if none were counted."""
    counts = train.classes
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


def _series(models: Models, name: str) -> int:
    """Returns the number that gives a model its colour and its marker, the same in all charts."""
    return list(models).index(name)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else percent(share)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"
