"""A year of unattended retraining, its weeks one after the other at once, with what goes wrong in one.

Its two halves are played at the same time, each on a processor of its own: each begins with nothing that
ships. In the first all kinds of things happen; in the second the images turn besides, more each week.
"""

import contextlib
import functools
import multiprocessing
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as Flag
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.year import CONFIGS, Event, Pictures, Year, load_pictures

WEEKS = 26
# Gates that chance does not decide: with a quarter of the labels wrong no student reaches the first, and from
# one to the next students differ by less than the others. The reference images do not turn.
MIN_ACCURACY, MAX_ACCURACY_DROP, MAX_ACCURACY_DROP_ON_REFERENCE = 0.8, 0.08, 0.2
KEEP = 3
POLLS = 1000


class Half(NamedTuple):
    """Of a year.

    Attributes:
      events: What happens in which week.
      outcomes: What has to come of some weeks; of the others, whether the gates find the student good enough.
      turn: By how many degrees more the pictures turn each week.
    """

    events: Mapping[int, tuple[Event, ...]]
    outcomes: Mapping[int, str]
    turn: float = 0.0


FIRST = Half(
    events={
        1: ("missing",),
        2: ("new class",),
        3: ("missing",),
        4: ("missing",),
        5: ("killed",),
        6: ("missing",),
        7: ("missing",),
        8: ("flipped", "killed"),
        10: ("corrupt",),
        12: ("missing",),
        13: ("killed while it pushes",),
        14: ("missing",),
        15: ("missing",),
        16: ("rollback", "twice"),
        17: ("late",),
        19: ("missing",),
        20: ("missing",),
        21: ("missing",),
        22: ("missing",),
        23: ("missing",),
        24: ("missing",),
    },
    outcomes={
        0: "pushed",
        8: "refused",
        9: "pushed",
        10: "stopped",
        13: "pushed",
        17: "stopped",
        19: "stopped",
    },
)
SECOND = Half(
    events={
        1: ("missing",),
        2: ("missing",),
        3: ("missing",),
        4: ("killed",),
        5: ("missing",),
        6: ("missing",),
        7: ("missing",),
        8: ("missing",),
        9: ("killed",),
        10: ("corrupt",),
        12: ("missing",),
        13: ("flipped",),
        15: ("killed while it pushes",),
        16: ("missing",),
        17: ("missing",),
        18: ("rollback", "twice"),
        19: ("missing",),
        20: ("late",),
        22: ("missing",),
        23: ("missing",),
        24: ("missing",),
        25: ("killed",),
    },
    outcomes={0: "pushed", 10: "stopped", 13: "refused", 14: "pushed", 15: "pushed", 20: "stopped"},
    turn=1.2,
)


class Played(NamedTuple):
    """What came of a half.

    Attributes:
      rows: Of the weeks; see `benchmarks.year`.
      polls: How often a reader of the push directory found a whole version.
      versions: How many were left at the end.
      partial: What was half written then.
      first: Accuracy of what shipped after the first week, on images as they were in the last.
    """

    rows: list[dict[str, Any]]
    polls: int
    versions: int
    partial: list[pathlib.Path]
    first: float


@pytest.mark.year
@pytest.mark.timeout(3600)
def test_what_ships_is_sound_through_a_year_of_mishaps(tmp_path: pathlib.Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        halves = list(pool.map(_play, (FIRST, SECOND), (tmp_path / "first", tmp_path / "second")))

    for half, played in zip((FIRST, SECOND), halves, strict=True):
        outcomes = {week: row["outcome"] for week, row in enumerate(played.rows)}
        missing = {week: "stopped" for week, events in half.events.items() if "missing" in events}
        expected = missing | half.outcomes
        assert {week: outcomes[week] for week in expected} == expected
        assert set(outcomes.values()) == {"pushed", "refused", "stopped"}
        codes = {"pushed": [0], "stopped": [4], "refused": [3]}
        assert [sorted(row["exit_codes"]) for row in played.rows] == [
            codes[row["outcome"]] + ([75] if "twice" in row["event"] else []) for row in played.rows
        ]
        # Of a week that has been judged nothing is new; one that was stopped is tried again.
        assert [row["nothing_new"] for row in played.rows] == [
            4 if row["outcome"] == "stopped" else 0 for row in played.rows
        ]
        assert all(row["reason"] for row in played.rows)

        # Beside those that are kept there may be the one that ships and the one that it would fall back to.
        assert played.versions <= KEEP + 2
        assert not played.partial
        assert max(row["bytes"] for row in played.rows[WEEKS // 2 :]) < 1.5 * max(
            row["bytes"] for row in played.rows[: WEEKS // 2]
        )

    assert sum(played.polls for played in halves) >= POLLS
    assert sum(row["kills"] for played in halves for row in played.rows) >= 11
    turned = halves[1].rows
    assert any("trained anew: of the kept one" in row["decision"] and not row["event"] for row in turned)
    assert turned[-1]["accuracy"] > halves[1].first + 0.1


def _play(half: Half, work: pathlib.Path) -> Played:
    """Plays half a year, and checks each student that ships against the one before it."""
    year = Year(
        _pictures(),
        weeks=WEEKS,
        work=work,
        overrides=(
            *CONFIGS["digits"],
            f"push={{keep: {KEEP}}}",
            "retention={runs: 3}",
            "teacher.epochs=20",
            "student.epochs=12",
            f"evaluation.min_accuracy={MIN_ACCURACY}",
            f"evaluation.max_accuracy_drop={MAX_ACCURACY_DROP}",
            f"evaluation.max_accuracy_drop_on_reference={MAX_ACCURACY_DROP_ON_REFERENCE}",
        ),
        events=half.events,
        turn=half.turn,
        turn_after=0,
        corrects=True,
        is_warm=True,
    )
    first, rows = work / "what shipped first", []
    with _polled(year.versions.directory) as polls:
        for week, row in enumerate(year.play()):
            rows.append(row)
            if row["outcome"] == "pushed" and row["before"] and "new class" not in row["event"]:
                _check_bound(year, row)
            if week == 0:
                shutil.copytree(year.versions.directory / row["ships"], first)
    return Played(
        rows=rows,
        polls=polls.recv(),
        versions=len(year.versions.whole()),
        partial=list(year.versions.directory.glob("*.partial*")),
        first=year.accuracy(first, week=WEEKS - 1),
    )


def _pictures() -> Pictures:
    """Returns the digits three times, as they are and turned to either side: as many as 26 weeks need.

    All three of a digit are among the images that the pipeline never sees, or among the reference images, or
    among the others.
    """
    digits = load_pictures("digits")
    tenth = len(digits.labels) // 10
    unseen, reference, others = (
        [digits.part(start, end).turned(degrees) for degrees in (-8, 0, 8)]
        for start, end in ((0, tenth), (tenth, 2 * tenth), (2 * tenth, 10 * tenth))
    )
    pixels, labels = (np.concatenate(parts) for parts in zip(*others, strict=True))
    order = np.random.default_rng(0).permutation(len(labels))
    parts = [*unseen, *reference, Pictures(pixels[order], labels[order])]
    return Pictures(*map(np.concatenate, zip(*parts, strict=True)))


def _check_bound(year: Year, row: dict[str, Any]) -> None:
    """What ships is not worse than what shipped by more than the bound, on the test images as files."""
    evaluations = year.workspace.glob("artifacts/Evaluator/evaluation/*/outcomes")
    newest = max(evaluations, key=lambda path: int(path.parent.name))
    files = [year.image(id_.decode()) for id_ in pq.read_table(newest)["id"].to_pylist()]
    before, now = (_accuracy(year.versions.directory / row[which], files) for which in ("before", "ships"))
    assert now >= before - MAX_ACCURACY_DROP - 1e-9, row


def _accuracy(model: pathlib.Path, files: list[pathlib.Path]) -> float:
    import tensorflow as tf

    images = tf.constant([file.read_bytes() for file in files])
    named = _load(model).signatures["images"](image=images)["class"].numpy()
    return float(np.mean(named == [file.parent.name.encode() for file in files]))


@functools.lru_cache(maxsize=4)
def _load(model: pathlib.Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(model))


@contextlib.contextmanager
def _polled(directory: pathlib.Path) -> Iterator[Connection]:
    """Polls a push directory; what is yielded receives how often, or nothing if a version was not whole."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    is_over = context.Event()
    reader = context.Process(target=_poll, args=(directory, is_over, sender), daemon=True)
    reader.start()
    sender.close()
    yield receiver
    is_over.set()
    reader.join()


def _poll(directory: pathlib.Path, is_over: Flag, sender: Connection) -> None:
    """Reads the newest version, as a server would, again and again to the end of the half."""
    import tensorflow as tf
    from tensorflow.python.saved_model import loader_impl

    number, loaded = 0, set()
    while not is_over.is_set():
        versions = [path for path in directory.glob("*") if path.name.isdecimal()]
        if versions:
            newest = max(versions, key=lambda path: int(path.name))
            loader_impl.parse_saved_model(str(newest))
            weights = tf.train.load_checkpoint(str(newest / "variables" / "variables"))
            assert all(np.size(weights.get_tensor(name)) for name in weights.get_variable_to_shape_map())
            if newest.name not in loaded:
                serve = tf.saved_model.load(str(newest)).signatures["transformed"]
                assert np.isfinite(serve(image=tf.constant([bytes(64)]))["logits"]).all()
            number += 1
            loaded.add(newest.name)
        is_over.wait(0.3)
    sender.send(number)
