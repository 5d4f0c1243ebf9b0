"""The columns of the tables of models: what is shown of a model, and how it is written."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from components.metrics import ACCURACY, METRICS, TOP_K_ACCURACY, Metric
from components.report.wording import amount, file_size, milliseconds, percent, telling_decimals

UNKNOWN = "–"  # noqa: RUF001

Model = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Column:
    """A heading, a cell for each model by its name, and whether the cells are numbers."""

    heading: str
    cells: Mapping[str, str]
    is_number: bool = True


def quality_columns(models: Mapping[str, Model]) -> list[Column]:
    """Returns how good models are; what none of them has been measured for is left out.

    Args:
      models: The models of a `summary.json`, by any names.

    Returns:
      The columns, of which the first two are the role and the accuracy.
    """
    roles = {name: model["role"] for name, model in models.items()}
    return _known(
        Column("Role", roles, is_number=False), *(_quality_column(metric, models) for metric in METRICS)
    )


def cost_columns(models: Mapping[str, Model]) -> list[Column]:
    """Returns what models cost; what none of them has been measured for is left out."""
    return _known(
        _column("Parameters", models, _key("parameters"), "{:,}".format),
        _column("Multiply-adds", models, _key("multiply_adds"), amount),
        _column("Size", models, _key("size_bytes"), file_size),
        _column("Latency, median", models, _latency("median"), milliseconds),
        _column("95th percentile", models, _latency("p95"), milliseconds),
        _column("Images per second", models, _key("throughput"), "{:,.0f}".format),
    )


def _column(
    heading: str, models: Mapping[str, Model], read: Callable[[Model], Any], write: Callable[[Any], str]
) -> Column:
    values = {name: read(model) for name, model in models.items()}
    return Column(
        heading, {name: UNKNOWN if value is None else write(value) for name, value in values.items()}
    )


def _known(*columns: Column) -> list[Column]:
    return [column for column in columns if set(column.cells.values()) != {UNKNOWN}]


def _key(key: str) -> Callable[[Model], Any]:
    return lambda model: model.get(key)


def _latency(key: str) -> Callable[[Model], Any]:
    return lambda model: (model.get("latency_ms") or {}).get(key)


def _quality_column(metric: Metric, models: Mapping[str, Model]) -> Column:
    read = _top_k_accuracy if metric is TOP_K_ACCURACY else _key(metric.name)
    decimals = metric.decimals
    if metric in (ACCURACY, TOP_K_ACCURACY):
        decimals = telling_decimals(
            model["accuracy"] for model in models.values() if model["accuracy"] is not None
        )

    def write(value: float) -> str:
        return percent(value, decimals=decimals) if metric.as_percentage else f"{value:.{decimals}f}"

    return _column(metric.heading, models, read, write)


def _top_k_accuracy(model: Model) -> float | None:
    return (model.get("top_k") or {}).get("accuracy")
