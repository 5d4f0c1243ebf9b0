"""The columns of the tables of models: what is shown of a model, and how it is written."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from components.evaluator.wording import amount, file_size, milliseconds, percent, telling_decimals

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
    shares = [model["accuracy"] for model in models.values() if model["accuracy"] is not None]
    accuracy = _as_percent(telling_decimals(shares))
    top = next((model["top_k"]["k"] for model in models.values() if model.get("top_k")), None)
    return _known(
        Column("Role", {name: model["role"] for name, model in models.items()}, is_number=False),
        _column("Accuracy", models, _key("accuracy"), accuracy),
        _column(f"Top {top}", models, lambda model: (model.get("top_k") or {}).get("accuracy"), accuracy),
        _column("Cross-entropy", models, _key("cross_entropy"), _four_decimals),
        _column("Calibration error", models, _key("expected_calibration_error"), _as_percent(1)),
        _column("Macro F1", models, _key("macro_f1"), _four_decimals),
        _column("AUC", models, _key("auc"), _four_decimals),
        _column("Agrees with teacher", models, _key("agreement_with_teacher"), _as_percent(1)),
        _column("… where it is right", models, _key("agreement_where_teacher_right"), _as_percent(1)),
        _column("… where it is wrong", models, _key("agreement_where_teacher_wrong"), _as_percent(1)),
        _column("KL from teacher", models, _key("kl_from_teacher"), _four_decimals),
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


def _as_percent(decimals: int) -> Callable[[float], str]:
    return lambda share: percent(share, decimals=decimals)


def _four_decimals(number: float) -> str:
    return f"{number:.4f}"
