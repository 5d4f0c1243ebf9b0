"""Several runs side by side: the candidate of each, measured and configured."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.report import figures
from components.report.columns import UNKNOWN, Column, cost_columns, quality_columns
from components.report.page import environment
from components.report.wording import difference, percent

Summary = Mapping[str, Any]
Runs = Mapping[str, Summary]


def render_comparison(runs: Runs) -> str:
    """Renders the comparison as one HTML page that needs nothing else.

    Args:
      runs: The content of each run's `summary.json`, by how the run is called.

    Returns:
      A whole HTML page; styles and charts are inside.
    """
    pooled = _pool(runs)
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            runs=runs,
            is_fair=is_fair(runs),
            tables=tables(runs),
            settings=changed_settings(runs),
            charts=[each for each in (figures.differences(pooled), *figures.trade_offs(pooled)) if each],
        )
    )


def tables(runs: Runs) -> dict[str, list[Column]]:
    """Returns what was decided of each run's candidate, how good it is and what it costs, by caption."""
    candidates = _pool(runs)["models"]
    _, accuracy, *quality = quality_columns(candidates)
    decision = [
        _column("Blessed", runs, lambda run: "yes" if run["blessed"] else "no", is_number=False),
        _column("Candidate", runs, lambda run: run["candidate"], is_number=False),
        accuracy,
        _column("Against scratch (points)", runs, lambda run: _difference(run, baseline="scratch")),
        _column("Against teacher (points)", runs, lambda run: _difference(run, baseline="teacher")),
        _column("Gap closed", runs, _gap_closed),
    ]
    return {"Decision": decision, "Quality": quality, "Cost": cost_columns(candidates)}


def is_fair(runs: Runs) -> bool:
    """Returns whether the runs were measured on what seem to be the same test images."""
    return len({repr(_what_was_tested(run)) for run in runs.values()}) == 1


def _what_was_tested(run: Summary) -> tuple[Any, ...]:
    return run["class_names"], run["test_examples"], run.get("configuration", {}).get("data")


def changed_settings(runs: Runs) -> dict[str, dict[str, str]]:
    """Returns the value in each run, by the run's name, of each setting in which runs differ."""
    settings = {name: dict(_flatten(run.get("configuration", {}))) for name, run in runs.items()}
    keys = dict.fromkeys(key for flat in settings.values() for key in flat)
    rows = {key: {name: flat.get(key, UNKNOWN) for name, flat in settings.items()} for key in keys}
    return {key: row for key, row in rows.items() if len(set(row.values())) > 1}


def _flatten(value: Any, *, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields each leaf of a configuration as the command line would name it."""
    children = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(children, Mapping):
        yield key, str(value)
        return
    for child, content in children.items():
        yield from _flatten(content, key=f"{key}.{child}" if key else str(child))


def _pool(runs: Runs) -> Summary:
    """Puts the candidates of all runs into one summary, as if each were a model of the name of its run."""
    return {
        "models": {name: run["models"][run["candidate"]] for name, run in runs.items()},
        "differences": [
            each | {"candidate": name}
            for name, run in runs.items()
            for each in run.get("differences", ())
            if each["candidate"] == run["candidate"]
        ],
    }


def _column(heading: str, runs: Runs, write: Any, *, is_number: bool = True) -> Column:
    return Column(heading, {name: write(run) for name, run in runs.items()}, is_number=is_number)


def _difference(run: Summary, *, baseline: str) -> str:
    """Writes the candidate's difference in accuracy, with its interval."""
    wanted = (run["candidate"], baseline, "accuracy", None)
    for each in run.get("differences", ()):
        if (each["candidate"], each["baseline"], each["metric"], each["slice"]) == wanted:
            numbers = (each["estimate"], *(each["confidence_interval"] or ()))
            if None not in numbers:
                estimate, *interval = (difference(number, metric="accuracy") for number in numbers)
                return f"{estimate} ({' to '.join(interval)})" if interval else estimate
    return UNKNOWN


def _gap_closed(run: Summary) -> str:
    gap = run.get("gap_closed", {}).get(run["candidate"])
    return UNKNOWN if gap is None or gap["estimate"] is None else percent(gap["estimate"], decimals=0)
