"""Rounds of alternating contenders, and the table of ratios that comes of them."""

import dataclasses
import gc
import pathlib
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Literal

import keras

from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import write_json

RESULTS = pathlib.Path(__file__).parent / "results"

Seconds = dict[str, list[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A ratio that was measured in each round, and the bound it has to keep.

    Attributes:
      name: What is compared with what.
      ratios: One a round.
      bound: What the median must keep to.
      sense: Whether the bound is the most or the least.
    """

    name: str
    ratios: list[float]
    bound: float
    sense: Literal["at most", "at least"] = "at most"

    @property
    def holds(self) -> bool:
        """Whether the median keeps the bound."""
        return (
            median(self.ratios) <= self.bound
            if self.sense == "at most"
            else median(self.ratios) >= self.bound
        )


def take_turns(contenders: Mapping[str, Callable[[], Any]], *, rounds: int) -> Seconds:
    """Times each contender once a round, always in the same order.

    Args:
      contenders: What to run, by name. Each starts from cleared Keras state and the same seed.
      rounds: How often.

    Returns:
      The seconds of each round, by name.
    """
    seconds: Seconds = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            keras.backend.clear_session()
            keras.utils.set_random_seed(0)
            gc.collect()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
            print(f"round {number + 1}: {name}: {seconds[name][-1]:.1f} s", flush=True)
    return seconds


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Divides round by round."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def report(name: str, rows: list[Row], *, measured: Mapping[str, Any], command: str) -> None:
    """Prints the rows as a Markdown table and writes them, with what was measured, to `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    content = {
        "command": command,
        "machine": describe_machine(),
        "versions": describe_versions(),
        "measured": measured,
        "rows": [
            dataclasses.asdict(row) | {"median": median(row.ratios), "holds": row.holds} for row in rows
        ],
    }
    write_json(RESULTS / f"{name}.json", content)
    print(f"\n| {name} | median | range | bound | holds |\n|---|---|---|---|---|")
    for row in rows:
        low, high = min(row.ratios), max(row.ratios)
        print(
            f"| {row.name} | {median(row.ratios):.2f} | {low:.2f} to {high:.2f} | {row.sense} {row.bound:g} "
            f"| {'yes' if row.holds else 'no'} |"
        )
