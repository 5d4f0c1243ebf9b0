"""Several runs side by side: the candidate of each, measured and configured."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.report import figures
from components.report.columns import UNKNOWN, Column, cost_columns, quality_columns
from components.report.page import environment
from components.report.summary import Difference, Model, Summary
from components.report.wording import difference, percent

Runs = Mapping[str, Summary]

# Settings of the data that change no test image.
_OF_TRAINING = ("labels", "unlabelled", "labelled_fraction")


def render_comparison(runs: Runs) -> str:
    """Renders the comparison as one HTML page that needs nothing else.

    Args:
      runs: The summary of each run, by the name of the run.

    Returns:
      A whole HTML page; styles and charts are inside.
    """
    candidates = _candidates(runs)
    lead = figures.differences(_pooled_differences(runs), names=list(runs))
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            runs=runs,
            is_fair=is_fair(runs),
            tables=tables(runs),
            settings=changed_settings(runs),
            charts=[*([lead] if lead else []), *figures.trade_offs(candidates)],
        )
    )


def tables(runs: Runs) -> dict[str, list[Column]]:
    """Returns what was decided of each run's candidate, how good it is and what it costs, by caption."""
    candidates = _candidates(runs)
    _, accuracy, *quality = quality_columns(candidates)
    decision = [
        _column("Blessed", runs, lambda run: "yes" if run.blessed else "no", is_number=False),
        _column("Candidate", runs, lambda run: run.display_names[run.candidate], is_number=False),
        accuracy,
        _column("Against scratch (points)", runs, lambda run: _difference(run, baseline="scratch")),
        _column("Against teacher (points)", runs, lambda run: _difference(run, baseline="teacher")),
        _column("Gap closed", runs, _gap_closed),
    ]
    return {"Decision": decision, "Quality": quality, "Cost": cost_columns(candidates)}


def is_fair(runs: Runs) -> bool:
    """Returns whether the runs were measured on what seem to be the same test images."""
    tested = [(run.class_names, run.test_examples, _tested_data(run)) for run in runs.values()]
    return all(each == tested[0] for each in tested)


def _tested_data(run: Summary) -> dict[str, Any]:
    """Returns the settings of the data but for those of which images models learn from."""
    return {key: value for key, value in run.configuration["data"].items() if key not in _OF_TRAINING}


def changed_settings(runs: Runs) -> dict[str, dict[str, str]]:
    """Returns the value in each run, by the run's name, of each setting in which runs differ."""
    settings = {name: dict(_flatten(run.configuration)) for name, run in runs.items()}
    keys = dict.fromkeys(key for flat in settings.values() for key in flat)
    rows = {key: {name: flat.get(key, UNKNOWN) for name, flat in settings.items()} for key in keys}
    return {key: row for key, row in rows.items() if len(set(row.values())) > 1}


def _flatten(value: Any, *, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields each leaf of a configuration as the command line would name it."""
    is_tree = isinstance(value, list) and any(isinstance(each, dict | list) for each in value)
    children = dict(enumerate(value)) if is_tree else value
    if not isinstance(children, Mapping):
        yield key, str(value)
        return
    for child, content in children.items():
        yield from _flatten(content, key=f"{key}.{child}" if key else str(child))


def _candidates(runs: Runs) -> dict[str, Model]:
    """Returns the candidate of each run, by the name of the run."""
    return {name: run.student for name, run in runs.items()}


def _pooled_differences(runs: Runs) -> list[Difference]:
    """Returns the differences of all candidates, each called by the name of its run."""
    return [
        each.model_copy(update={"candidate": name})
        for name, run in runs.items()
        for each in run.differences
        if each.candidate == run.candidate
    ]


def _column(heading: str, runs: Runs, write: Callable[[Summary], str], *, is_number: bool = True) -> Column:
    return Column(heading, {name: write(run) for name, run in runs.items()}, is_number=is_number)


def _difference(run: Summary, *, baseline: str) -> str:
    """Writes the candidate's difference in accuracy, with its interval."""
    for each in run.leads:
        if each.baseline == baseline and each.estimate is not None:
            estimate = difference(each.estimate, metric=each.metric)
            if each.confidence_interval is None:
                return estimate
            low, high = (difference(bound, metric=each.metric) for bound in each.confidence_interval)
            return f"{estimate} ({low} to {high})"
    return UNKNOWN


def _gap_closed(run: Summary) -> str:
    estimate = run.gap_closed[run.candidate].estimate
    return UNKNOWN if estimate is None else percent(estimate, decimals=0)
