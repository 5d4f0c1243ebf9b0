"""The verdict, the models and the gates in a few lines of Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.report.columns import cost_columns, quality_columns
from components.report.wording import measured

Summary = Mapping[str, Any]


def to_markdown(summary: Summary) -> str:
    """Writes what has to be known of an evaluation at a glance.

    Args:
      summary: The content of `evaluation.json`.

    Returns:
      A page of Markdown with the verdict, the table of models and the gates.
    """
    models = summary["models"]
    columns = [*quality_columns(models), *cost_columns(models)]
    rows = [[name, *(column.cells[name] for column in columns)] for name in models]
    parts = [
        f"**{'Blessed' if summary['blessed'] else 'Not blessed'}.** {_escape(summary['verdict'])}",
        *(f"**Mind:** {_escape(warning)}" for warning in summary["warnings"]),
        _table(["Model", *(column.heading for column in columns)], rows),
        _table(["Gate", "Against", "Images", "Bound", "Measured", "Held"], map(_gate_row, summary["gates"])),
    ]
    return "\n\n".join(parts) + "\n"


def _gate_row(gate: Mapping[str, Any]) -> list[str]:
    unit = gate["unit"]
    bound = "" if gate["bound"] is None else f" {measured(gate['bound'], unit=unit)}"
    return [
        gate["name"],
        gate["baseline"] or "",
        gate["slice"] or "all",
        f"{gate['relation']}{bound}",
        "not finite" if gate["measured"] is None else measured(gate["measured"], unit=unit),
        "yes" if gate["held"] else "no",
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


def _escape(text: str) -> str:
    """Keeps names of classes, slices and models from being taken for Markdown or HTML."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text
