"""The verdict, the models and the gates in a few lines of Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from components.report.columns import cost_columns, quality_columns
from components.report.summary import DataCheck, Evaluation, FeatureDrift, Gate
from components.report.wording import DATA_CHECK, in_unit, p_value


def to_markdown(evaluation: Evaluation) -> str:
    """Writes what has to be known of an evaluation at a glance.

    Args:
      evaluation: What was measured and decided.

    Returns:
      A page of Markdown with the verdict, the table of models and the gates.
    """
    columns = [*quality_columns(evaluation.models), *cost_columns(evaluation.models)]
    rows = [
        [evaluation.display_names[name], *(column.cells[name] for column in columns)]
        for name in evaluation.models
    ]
    parts = [
        f"**{'Blessed' if evaluation.blessed else 'Not blessed'}.** {_escape(evaluation.verdict)}",
        *([_escape(evaluation.reference.verdict)] if evaluation.reference else ()),
        *(f"**Note:** {_escape(warning)}" for warning in evaluation.warnings),
        _table(["Model", *(column.heading for column in columns)], rows),
        *(f"**What to change:** {_escape(advice)}" for advice in evaluation.advice),
        _table(["Gate", "Against", "Images", "Bound", "Measured", "Held"], map(_gate_row, evaluation.gates)),
        *(_data_check(evaluation.data_check) if evaluation.data_check else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _data_check(check: DataCheck) -> Iterator[str]:
    yield f"### {DATA_CHECK}"
    if check.drift:
        yield _table(
            ["Feature", "Drift", "What has changed most", "p", "Jensen-Shannon distance"],
            [
                [each.feature, _drifted(each), each.detail, p_value(each.p_value), f"{each.distance:.3f}"]
                for each in check.drift.features
            ],
        )
    yield _table(
        ["Also among the training images", "Images", "Exact", "Near"],
        [[each.split, *map(str, (each.images, each.exact, each.near))] for each in check.duplicates],
    )


def _drifted(feature: FeatureDrift) -> str:
    return "no" if feature.status == "none" else "yes"


def _gate_row(gate: Gate) -> list[str]:
    bound = "" if gate.bound is None else f" {in_unit(gate.bound, unit=gate.unit)}"
    return [
        gate.name,
        gate.baseline or "",
        gate.images,
        f"{gate.relation}{bound}",
        "not finite" if gate.measured is None else in_unit(gate.measured, unit=gate.unit),
        "yes" if gate.held else "no",
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


def _escape(text: str) -> str:
    """Keeps names of classes, slices and models from being taken for Markdown or HTML."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text
