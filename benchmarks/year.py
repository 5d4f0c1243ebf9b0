"""A year of unattended retraining, week by week, with what goes wrong in one.

    .venv/bin/python -m benchmarks.year digits --weeks 12 --work DIR
    .venv/bin/python -m benchmarks.year mnist --data-dir DIR --work DIR --warm

Each week a span of images is delivered and `distill retrain --span` is called, as a schedule would. `EVENTS`
says in which weeks something happens; fewer weeks have those of the first ones. In the second half the images
turn, by a degree more each week. What ships after each week is tested on images that the pipeline never sees,
turned as those of that week. As many others, which never turn, are `data.reference`.

Prints a table, and writes it to `benchmarks/results/year.json`; `--plot FILE` draws it. A year that was
interrupted goes on in the same folder. `tests/end_to_end/test_year.py` plays a year of its own with the same
class.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
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

# What happens in a week, to its images or to its tick.
Event = Literal[
    "missing",  # No images come.
    "late",  # They come when the tick was over, and the week after with its own.
    "flipped",  # Each label is that of the class before.
    "corrupt",  # Each file is cut short.
    "killed",  # The tick is killed, and called again.
    "killed while it pushes",
    "twice",  # Two ticks are called at once.
    "rollback",  # A person rolls back, before the tick.
    "new class",  # Images of the last class come from now on; there were none of it before.
]

EVENTS: Mapping[int, Event] = {
    3: "late",
    5: "flipped",
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
        "evaluation={min_accuracy: 0.7, against_scratch: any, max_accuracy_drop: 0.02, "
        "max_accuracy_drop_on_reference: 0.03}",
    ),
    "mnist": (
        "teacher={architecture: mnist_teacher, epochs: 20, batch_size: 64, learning_rate: 0.001}",
        "student={architecture: mnist_student, epochs: 15, batch_size: 64, learning_rate: 0.002}",
        "image={height: 28, width: 28, channels: 1}",
        "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.95, runs: 12}}",
        "evaluation={min_accuracy: 0.85, against_scratch: any, max_accuracy_drop: 0.02, "
        "max_accuracy_drop_on_reference: 0.02}",
    ),
}

# What a run imports when it has begun.
_IMPORTED_LATE = (
    *("pipeline.cli.main", "pipeline.graph", "pipeline.local.observer", "pipeline.results.collecting"),
    "tfx.orchestration.beam.beam_dag_runner",
)
# Nodes at which a tick may be killed: those that take the time. Killed later it has pushed.
_NODES = ("StatisticsGen", "Transform", "Scratch", "Teacher", "Distiller-distilled", "Evaluator")
_LONGEST_DELAY = 3.0
_CLASSES = 10


class Pictures(NamedTuple):
    """Grey images `[images, height, width]` of 8 bits, and their labels."""

    pixels: np.ndarray
    labels: np.ndarray

    def turned(self, degrees: float) -> "Pictures":
        """Returns the same, turned."""
        images = [Image.fromarray(each).rotate(degrees, Image.Resampling.BILINEAR) for each in self.pixels]
        return Pictures(np.stack([np.asarray(image) for image in images]), self.labels)

    def part(self, start: int, end: int) -> "Pictures":
        """Returns those from one to before another."""
        return Pictures(self.pixels[start:end], self.labels[start:end])

    def where(self, mask: np.ndarray) -> "Pictures":
        """Returns some of them."""
        return Pictures(self.pixels[mask], self.labels[mask])


class Command:
    """A call of `distill` in a process of its own.

    Args:
      arguments: Of the command line.
      screen: The file to which what it prints is added.
      is_warm: Forks it, and what it starts, from a process that has imported TFX already.
    """

    def __init__(self, arguments: Sequence[str], *, screen: pathlib.Path, is_warm: bool) -> None:
        context = multiprocessing.get_context("forkserver" if is_warm else "spawn")
        if is_warm:
            multiprocessing.set_forkserver_preload([__name__, *_IMPORTED_LATE])
        receiver, sender = context.Pipe(duplex=False)
        self._screen = screen
        self._process = context.Process(target=_distill, args=(sender, list(arguments), is_warm))
        self._process.start()
        sender.close()
        self._printed = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8")
        receiver.close()

    def lines(self) -> Iterator[str]:
        """Yields what it prints, to the end of it and of what it has started."""
        with self._screen.open("a", encoding="utf-8") as screen:
            for line in self._printed:
                screen.write(line)
                yield line

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def kill(self) -> None:
        """Sends SIGKILL, and waits until it and what it has started are gone."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Returns the exit code once it has ended."""
        for _ in self.lines():
            pass
        self._process.join()
        return int(self._process.exitcode or 0)


def _distill(sender: Connection, arguments: Sequence[str], is_warm: bool) -> None:
    from pipeline.cli.main import main as distill
    from pipeline.local import background

    for stream in (1, 2):
        os.dup2(sender.fileno(), stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = ["distill", *arguments]
    if is_warm:
        background.CONTEXT = multiprocessing.get_context("fork")
    distill()


class Year:
    """The weeks of an experiment in a folder.

    Args:
      pictures: All that there are: a tenth the pipeline never sees, a tenth are the reference images, and the
        others are the weeks' spans.
      weeks: How many.
      work: The folder.
      overrides: Settings, as for `--set`, beside those of the data.
      events: What happens in which week.
      turn: By how many degrees more the pictures turn each week.
      turn_after: The week after which they begin to; half of the weeks if not given.
      corrects: Whether flipped and corrupt spans are delivered again, as they should be, the week after.
      is_warm: See `Command`.
    """

    def __init__(
        self,
        pictures: Pictures,
        *,
        weeks: int,
        work: pathlib.Path,
        overrides: Iterable[str],
        events: Mapping[int, Sequence[Event]],
        turn: float = 1.0,
        turn_after: int | None = None,
        corrects: bool = False,
        is_warm: bool = False,
    ) -> None:
        self.workspace = work.absolute() / "run"
        self.versions = Versions(self.workspace / "pushed")
        self._work = work.absolute()
        self._weeks = weeks
        self._events = events
        self._turn_per_week = turn
        self._turn_after = weeks // 2 if turn_after is None else turn_after
        self._corrects = corrects
        self._is_warm = is_warm
        path = f"{self._work}/spans/{{YYYY}}-{{MM}}-{{DD}}/v{{VERSION}}"
        self._overrides = (
            "name=year",
            f"data={{source: image_folder, path: '{path}', window: {WINDOW}, split_fractions: {SPLITS}, "
            f"reference: '{self._work}/reference'}}",
            *overrides,
        )
        spans = WINDOW - 1 + weeks  # The first window is whole.
        held, per_span = len(pictures.labels) // 10, len(pictures.labels) * 4 // 5 // spans
        self._unseen = pictures.part(0, held)
        self._reference = pictures.part(held, 2 * held)
        self._spans = [
            pictures.part(start, start + per_span)
            for start in range(2 * held, 2 * held + spans * per_span, per_span)
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

    def accuracy(self, model: pathlib.Path, *, week: int) -> float:
        """Returns that of a model on the images that the pipeline never sees, as they are in a week.

        Images of a class that the model does not know are left out.
        """
        servable = open_servable(model)
        known = self._unseen.where(np.isin(self._unseen.labels, [*map(int, servable.class_names)]))
        pictures = known.turned(self._turn(week))
        logits = servable.predict([pixels.tobytes() for pixels in pictures.pixels])
        return float((logits.argmax(axis=-1) == pictures.labels).mean())

    def image(self, id_: str) -> pathlib.Path:
        """Returns the file of an image that was delivered, in its newest version, by its id."""
        span, _, path = id_.partition("/")
        return max((self._work / "spans" / span).glob("v*")) / path

    def _play(self, week: int) -> dict[str, Any]:
        events = self._events.get(week, ())
        self._deliver_what_is_due(week)
        if "rollback" in events:
            self._start("rollback", "--reason", "an exercise").wait()
        before = self.versions.shipping()
        start = time.monotonic()
        kills = self._kill_at_random(week) if "killed" in events else 0
        if "killed while it pushes" in events:
            kills += self._kill_while_it_pushes(week)
        others = [self._start(*self._tick(week))] if "twice" in events else []
        exit_codes = [self._start(*self._tick(week)).wait(), *(other.wait() for other in others)]
        seconds = time.monotonic() - start
        again = self._start(*self._tick(week)).wait()
        tick = Ledger(self.workspace / "pushed", "year").ticks()[-2]
        shipping = self.versions.shipping()
        return {
            "span": _date(week),
            "event": " and ".join(events),
            "exit_codes": exit_codes,
            "outcome": tick.outcome,
            "reason": tick.reason,
            "decision": self._decision() if tick.outcome in ("pushed", "refused") else "",
            "seconds": seconds,
            "kills": kills,
            "nothing_new": again,
            "before": before,
            "ships": shipping,
            "accuracy": self.accuracy(self.versions.directory / shipping, week=week) if shipping else None,
            "on_reference": tick.student_on_reference,
            "bytes": sum(file.stat().st_size for file in self.workspace.rglob("*") if file.is_file()),
        }

    def _deliver_what_is_due(self, week: int) -> None:
        if week == 0:
            known = self._reference.labels < self._classes(week)
            _write(self._reference.where(known), self._work / "reference")
            for earlier in range(1 - WINDOW, 0):
                self._deliver(earlier)
        if not {"late", "missing"} & set(self._events.get(week, ())):
            self._deliver(week)
        last = self._events.get(week - 1, ())
        if "late" in last:
            self._deliver(week - 1)
        if self._corrects and {"flipped", "corrupt"} & set(last):
            self._deliver(week - 1, version=2)

    def _deliver(self, week: int, *, version: int = 1) -> None:
        """Puts the images of a week into its folder."""
        events = self._events.get(week, ()) if version == 1 else ()
        pictures = self._spans[WINDOW - 1 + week].turned(self._turn(week))
        classes = self._classes(week)
        _write(
            pictures.where(pictures.labels < classes),
            self._work / "spans" / _date(week) / f"v{version}",
            shift=int("flipped" in events),
            classes=classes,
            is_cut="corrupt" in events,
        )

    def _classes(self, week: int) -> int:
        """Returns how many classes there are images of in a week."""
        first = min(
            (number for number, events in self._events.items() if "new class" in events),
            default=1 - WINDOW,
        )
        return _CLASSES - (week < first)

    def _turn(self, week: int) -> float:
        return max(0, week - self._turn_after) * self._turn_per_week

    def _tick(self, week: int) -> list[str]:
        settings = [part for override in self._overrides for part in ("--set", override)]
        return ["retrain", str(ROOT / "configs/digits.yaml"), "--span", _date(week), *settings]

    def _start(self, *arguments: str) -> Command:
        return Command(
            [*arguments, "--workspace", str(self.workspace)],
            screen=self._work / "screen.log",
            is_warm=self._is_warm,
        )

    def _kill_at_random(self, week: int) -> int:
        """Begins a tick three times and kills it at another moment each time; returns how often it did."""
        moments = random.Random(week)
        for node in sorted(moments.sample(_NODES, 3), key=_NODES.index):
            tick = self._start(*self._tick(week))
            next(line for line in tick.lines() if line.startswith(f"{node}: running"))
            time.sleep(moments.uniform(0, _LONGEST_DELAY))
            tick.kill()
        return 3

    def _kill_while_it_pushes(self, week: int) -> int:
        """Begins a tick and kills it once a version is half there; returns how often it did."""
        tick = self._start(*self._tick(week))
        next(line for line in tick.lines() if line.startswith("Pusher: running"))
        while tick.is_running and not any(self.versions.directory.glob(".[0-9]*.partial")):
            pass
        is_killed = tick.is_running
        tick.kill()
        return int(is_killed)

    def _decision(self) -> str:
        summary = self.workspace / "summary.json"
        return read_json(summary)["histories"]["teacher"].get("decision") or "" if summary.exists() else ""


def _write(
    pictures: Pictures,
    folder: pathlib.Path,
    *,
    shift: int = 0,
    classes: int = _CLASSES,
    is_cut: bool = False,
) -> None:
    """Writes pictures into class folders, whole or not at all; nothing if they are there already."""
    if folder.exists():  # Before the year was interrupted.
        return
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for number, (pixels, label) in enumerate(zip(*pictures, strict=True)):
        path = partial / str((label + shift) % classes) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        if is_cut:
            path.write_bytes(path.read_bytes()[:40])
    partial.rename(folder)


def load_pictures(experiment: str, *, data_dir: str | None = None) -> Pictures:
    """Returns all pictures of an experiment in `CONFIGS`, in an order that follows nothing."""
    if experiment == "digits":
        digits = datasets.load_digits()
        pixels, labels = np.clip(digits.images * 16, 0, 255).astype(np.uint8), digits.target
    else:
        data = tfds.as_numpy(tfds.load("mnist", split="train", data_dir=data_dir, batch_size=-1))
        pixels, labels = data["image"][..., 0], data["label"]
    order = np.random.default_rng(0).permutation(len(labels))
    return Pictures(pixels[order], labels[order])


def main() -> None:
    """Plays the weeks that are missing, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=CONFIGS)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--data-dir", help="Where MNIST in TFDS's format is.")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument(
        "--warm",
        action="store_true",
        help="Forks ticks from a process that has imported TFX: each takes some 7 s less than a schedule's.",
    )
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    year = Year(
        load_pictures(arguments.experiment, data_dir=arguments.data_dir),
        weeks=arguments.weeks,
        work=arguments.work,
        overrides=CONFIGS[arguments.experiment],
        events={week: (event,) for week, event in EVENTS.items()},
        is_warm=arguments.warm,
    )
    rows = list(year.play())
    results = read_json(RESULTS) if RESULTS.exists() else {}
    about = {"machine": describe_machine(), "versions": describe_versions()}
    write_json(RESULTS, results | {arguments.experiment: {"weeks": rows, **about}})
    print_table(rows)
    if arguments.plot:
        plot(rows, path=arguments.plot)


def _date(week: int) -> str:
    return (FIRST_DAY + datetime.timedelta(weeks=week)).isoformat()


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the weeks as a Markdown table."""
    headings = ("span", "event", "exit", "outcome", "what ships, on images it never saw")
    headings += ("the new one, on reference images", "s", "teacher")
    print(f"\n| {' | '.join(headings)} |")
    print("|---" * len(headings) + "|")
    for row in rows:
        accuracy, on_reference = (
            "" if row[key] is None else f"{row[key]:.1%}" for key in ("accuracy", "on_reference")
        )
        print(
            f"| {row['span']} | {row['event']} | {row['exit_codes'][0]} | {row['outcome']} | {accuracy} | "
            f"{on_reference} | {row['seconds']:.0f} | {row['decision']} |",
            flush=True,
        )


def plot(rows: Sequence[Mapping[str, Any]], *, path: pathlib.Path) -> None:
    """Draws what ships after each week, each new student on the reference images, and what happened."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    weeks = np.arange(1, len(rows) + 1)
    ships, on_reference = (
        np.array([np.nan if row[key] is None else row[key] for row in rows], float)
        for key in ("accuracy", "on_reference")
    )
    axes.plot(
        weeks, ships, color="#1f4e79", drawstyle="steps-post", label="what ships, on that week's images"
    )
    for outcome, marker in (("pushed", "o"), ("refused", "x")):
        mine = np.array([row["outcome"] == outcome for row in rows])
        label = f"{outcome}, on the reference images"
        axes.plot(weeks[mine], on_reference[mine], marker, color="#c2410c", markersize=4, label=label)
    for week, row in zip(weeks, rows, strict=True):
        if row["event"]:
            axes.axvline(week, color="#8a8f98", linewidth=0.6, linestyle=":")
            axes.annotate(
                row["event"],
                (week, 0.02),
                xycoords=("data", "axes fraction"),
                rotation=90,
                fontsize=7,
                ha="right",
                va="bottom",
            )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(xlabel="week", ylabel="accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
