"""The columns of the tables of models: what is shown of a model, and how it is written."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from components.metrics import ACCURACY, METRICS, TOP_K_ACCURACY, Metric
from components.report.summary import REFERENCE_METRICS, Measures, Model, ReferenceModel
from components.report.wording import amount, file_size, milliseconds, percent, telling_decimals

UNKNOWN = "–"  # noqa: RUF001

Models = Mapping[str, Model]
M = TypeVar("M")


@dataclasses.dataclass(frozen=True)
class Column:
    """A heading, a cell for each model by its name, and whether the cells are numbers."""

    heading: str
    cells: Mapping[str, str]
    is_number: bool = True


def quality_columns(models: Models) -> list[Column]:
    """Returns how good models are; what none of them has been measured for is left out.

    Args:
      models: The models of a summary, by any names.

    Returns:
      The columns, of which the first two are the role and the accuracy.
    """
    roles = Column("Role", {name: model.role for name, model in models.items()}, is_number=False)
    return _known(roles, *(_quality_column(metric, models) for metric in METRICS))


def reference_columns(models: Mapping[str, ReferenceModel]) -> list[Column]:
    """Returns how good models are on the reference images, by their names."""
    return _known(*(_quality_column(metric, models) for metric in REFERENCE_METRICS))


def cost_columns(models: Models) -> list[Column]:
    """Returns what models cost; what none of them has been measured for is left out."""
    return _known(
        _column("Parameters", models, lambda model: model.parameters, "{:,}".format),
        _column("Multiply-adds", models, lambda model: model.multiply_adds, amount),
        _column("Size", models, lambda model: model.size_bytes, file_size),
        _column(
            "Latency, median",
            models,
            lambda model: model.latency_ms and model.latency_ms.median,
            milliseconds,
        ),
        _column(
            "95th percentile", models, lambda model: model.latency_ms and model.latency_ms.p95, milliseconds
        ),
        _column("Images per second", models, lambda model: model.throughput, "{:,.0f}".format),
    )


def write_metric(value: float, *, metric: Metric, decimals: int | None = None) -> str:
    """Writes what was measured for a metric, by default with the metric's own number of decimals."""
    decimals = metric.decimals if decimals is None else decimals
    return percent(value, decimals=decimals) if metric.as_percentage else f"{value:.{decimals}f}"


def _column(
    heading: str, models: Mapping[str, M], read: Callable[[M], Any], write: Callable[[Any], str]
) -> Column:
    values = {name: read(model) for name, model in models.items()}
    return Column(
        heading, {name: UNKNOWN if value is None else write(value) for name, value in values.items()}
    )


def _quality_column(metric: Metric, models: Mapping[str, Measures]) -> Column:
    decimals = _accuracy_decimals(models) if metric in (ACCURACY, TOP_K_ACCURACY) else None
    return _column(
        metric.heading,
        models,
        lambda model: model.metric(metric),
        lambda value: write_metric(value, metric=metric, decimals=decimals),
    )


def _accuracy_decimals(models: Mapping[str, Measures]) -> int:
    """Returns the fewest decimals with which models of different accuracies look different."""
    accuracies = (model.metric(ACCURACY) for model in models.values())
    return telling_decimals(accuracy for accuracy in accuracies if accuracy is not None)


def _known(*columns: Column) -> list[Column]:
    return [column for column in columns if set(column.cells.values()) != {UNKNOWN}]
