"""A year of unattended retraining, week by week, with what goes wrong in one.

    .venv/bin/python -m benchmarks.year digits --weeks 12 --work DIR
    .venv/bin/python -m benchmarks.year mnist --data-dir DIR --work DIR

Each week a span of images is delivered and `distill retrain --span` is called, as a schedule would. `EVENTS`
says in which weeks something happens; fewer weeks have those of the first ones. In the second half the images
turn, by a degree more each week. What ships after each week is tested on images that the pipeline never sees,
turned as those of that week.

Prints a table, and writes it to `benchmarks/results/year.json`. A year that was interrupted goes on in the
same folder.
"""

import argparse
import datetime
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from sklearn import datasets

from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import read_json, write_json
from components.serving.forms import open_servable
from components.serving.versions import Versions
from pipeline.retraining.ledger import Ledger

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/year.json"
FIRST_DAY = datetime.date(2026, 1, 5)
WINDOW = 4
SPLITS = "{train: 0.7, validation: 0.15, test: 0.15}"

EVENTS: Mapping[int, str] = {
    3: "late",  # Comes when the tick was over, and the week after with its own.
    5: "flipped",  # Each label is that of the class before.
    7: "killed",
    8: "rollback",
    9: "corrupt",
    15: "missing",
    20: "flipped",
    24: "killed",
    30: "late",
    41: "flipped",
    47: "killed",
}

CONFIGS: Mapping[str, tuple[str, ...]] = {
    "digits": (
        "teacher={architecture: digits_teacher, epochs: 30, batch_size: 32, learning_rate: 0.002}",
        "student={architecture: digits_student, epochs: 20, batch_size: 32, learning_rate: 0.005}",
        "image={height: 8, width: 8, channels: 1}",
        "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.93, runs: 6}}",
        "evaluation={min_accuracy: 0.7, against_scratch: any, max_accuracy_drop: 0.02}",
    ),
    "mnist": (
        "teacher={architecture: mnist_teacher, epochs: 20, batch_size: 64, learning_rate: 0.001}",
        "student={architecture: mnist_student, epochs: 15, batch_size: 64, learning_rate: 0.002}",
        "image={height: 28, width: 28, channels: 1}",
        "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.95, runs: 12}}",
        "evaluation={min_accuracy: 0.85, against_scratch: any, max_accuracy_drop: 0.02}",
    ),
}


class Pictures(NamedTuple):
    """Grey images `[images, height, width]` of 8 bits, and their labels."""

    pixels: np.ndarray
    labels: np.ndarray

    def turned(self, degrees: float) -> "Pictures":
        """Returns the same, turned."""
        images = [Image.fromarray(each).rotate(degrees, Image.Resampling.BILINEAR) for each in self.pixels]
        return Pictures(np.stack([np.asarray(image) for image in images]), self.labels)


def main() -> None:
    """Plays the weeks that are missing, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=CONFIGS)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--data-dir", help="Where MNIST in TFDS's format is.")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    year = Year(arguments.experiment, weeks=arguments.weeks, work=arguments.work, data_dir=arguments.data_dir)
    rows = list(year.play())
    results = read_json(RESULTS) if RESULTS.exists() else {}
    about = {"machine": describe_machine(), "versions": describe_versions()}
    write_json(RESULTS, results | {arguments.experiment: {"weeks": rows, **about}})
    print_table(rows)


class Year:
    """The weeks of an experiment in a folder.

    Args:
      experiment: A key of `CONFIGS`.
      weeks: How many.
      work: The folder.
      data_dir: Where MNIST is.
    """

    def __init__(self, experiment: str, *, weeks: int, work: pathlib.Path, data_dir: str | None) -> None:
        pictures = _load(experiment, data_dir)
        self._experiment = experiment
        self._weeks = weeks
        self._work = work.absolute()
        self._workspace = self._work / "run"
        path = f"{self._work}/spans/{{YYYY}}-{{MM}}-{{DD}}"
        self._overrides = (
            f"name={experiment}",
            f"data={{source: image_folder, path: '{path}', window: {WINDOW}, split_fractions: {SPLITS}}}",
            *CONFIGS[experiment],
        )
        spans = WINDOW - 1 + weeks  # The first window is whole.
        held, per_span = len(pictures.labels) // 5, len(pictures.labels) * 4 // 5 // spans
        self._reference = Pictures(*(each[:held] for each in pictures))
        self._spans = [
            Pictures(*(each[held + number * per_span : held + (number + 1) * per_span] for each in pictures))
            for number in range(spans)
        ]

    def play(self) -> Iterator[dict[str, Any]]:
        """Plays each week that has not been played; yields what became of it."""
        for week in range(self._weeks):
            row = self._work / "weeks" / f"{week}.json"
            if not row.exists():
                row.parent.mkdir(parents=True, exist_ok=True)
                write_json(row, self._play(week))
                print(json.dumps(read_json(row)), flush=True)
            yield read_json(row)

    def _play(self, week: int) -> dict[str, Any]:
        event, span = EVENTS.get(week, ""), _date(week)
        for earlier in range(1 - WINDOW, 0) if week == 0 else ():
            self._deliver(earlier)
        if event not in ("late", "missing"):
            self._deliver(week)
        if EVENTS.get(week - 1) == "late":
            self._deliver(week - 1)
        start = time.monotonic()
        if event == "killed":
            self._kill(span, after=random.Random(week).uniform(10, 60))
        if event == "rollback":
            self._distill("rollback", "--reason", "an exercise").wait()
        exit_code = self._distill("retrain", *self._tick(span)).wait()
        seconds = time.monotonic() - start
        again = self._distill("retrain", *self._tick(span)).wait()
        tick = Ledger(self._workspace / "pushed", self._experiment).ticks()[-2]
        shipping = Versions(self._workspace / "pushed").shipping()
        return {
            "span": span,
            "event": event,
            "exit_code": exit_code,
            "outcome": tick.outcome,
            "reason": tick.reason,
            "decision": self._decision() if exit_code in (0, 3) else "",
            "seconds": seconds,
            "nothing_new": again,
            "ships": shipping,
            "accuracy": self._accuracy(shipping, week=week),
            "bytes": sum(file.stat().st_size for file in self._workspace.rglob("*") if file.is_file()),
        }

    def _deliver(self, week: int) -> None:
        """Puts the images of a week into its folder, whole or not at all."""
        event, folder = EVENTS.get(week, ""), self._work / "spans" / _date(week)
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        pictures = self._spans[WINDOW - 1 + week].turned(self._turn(week))
        for number, (pixels, label) in enumerate(zip(*pictures, strict=True)):
            name = (label + 1) % 10 if event == "flipped" else label
            path = partial / str(name) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            if event == "corrupt":
                path.write_bytes(path.read_bytes()[:40])
        partial.rename(folder)

    def _turn(self, week: int) -> float:
        return max(0, week - self._weeks // 2)

    def _tick(self, span: str) -> list[str]:
        settings = [part for override in self._overrides for part in ("--set", override)]
        return [str(ROOT / "configs/digits.yaml"), "--span", span, *settings]

    def _distill(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "pipeline", command, *arguments, "--workspace", str(self._workspace)]
        with (self._work / "screen.log").open("a", encoding="utf-8") as screen:
            return subprocess.Popen(program, cwd=ROOT, stdout=screen, stderr=screen)

    def _kill(self, span: str, *, after: float) -> None:
        """Begins a tick and kills it."""
        tick = self._distill("retrain", *self._tick(span))
        try:
            tick.wait(timeout=after)
        except subprocess.TimeoutExpired:
            tick.kill()
            tick.wait()

    def _decision(self) -> str:
        summary = self._workspace / "summary.json"
        return read_json(summary)["histories"]["teacher"].get("decision") or "" if summary.exists() else ""

    def _accuracy(self, version: str | None, *, week: int) -> float | None:
        """Returns the accuracy of a version on the images that the pipeline never sees, as they are now."""
        if version is None:
            return None
        model = open_servable(self._workspace / "pushed" / version)
        pictures = self._reference.turned(self._turn(week))
        logits = model.predict([pixels.tobytes() for pixels in pictures.pixels])
        return float((logits.argmax(axis=-1) == pictures.labels).mean())


def _load(experiment: str, data_dir: str | None) -> Pictures:
    if experiment == "digits":
        digits = datasets.load_digits()
        pixels, labels = np.clip(digits.images * 16, 0, 255).astype(np.uint8), digits.target
    else:
        data = tfds.as_numpy(tfds.load("mnist", split="train", data_dir=data_dir, batch_size=-1))
        pixels, labels = data["image"][..., 0], data["label"]
    order = np.random.default_rng(0).permutation(len(labels))
    return Pictures(pixels[order], labels[order])


def _date(week: int) -> str:
    return (FIRST_DAY + datetime.timedelta(weeks=week)).isoformat()


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the weeks as a Markdown table."""
    print("\n| span | event | exit | outcome | what ships, on images it never saw | s | teacher |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        print(
            f"| {row['span']} | {row['event']} | {row['exit_code']} | {row['outcome']} | {accuracy} | "
            f"{row['seconds']:.0f} | {row['decision']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
