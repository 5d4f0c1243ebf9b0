import io
import json
import pathlib
import re

import pytest
from rich.console import Console

from components.report.summary import Summary
from components.serving.versions import Versions
from pipeline.cli.screen import NodeTable, clock, print_result, shown
from pipeline.events import (
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeProgress,
    NodeShards,
    NodeStarted,
    RunFailed,
    RunFinished,
)

NODES = ("ExampleGen", "Teacher", "Distiller-distilled")
LAST_STEP = NodeProgress(
    "Teacher", epoch=3, epochs=20, step=843, steps=843, loss=0.12344, accuracy=0.98125, seconds_left=83.4
)
FIRST_STEP = NodeProgress(
    "Teacher", epoch=4, epochs=20, step=1, steps=843, loss=0.1, accuracy=1.0, seconds_left=80.0
)
TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def summary():
    """The content of a small `summary.json`."""
    content = json.loads((TESTS / "example_summary.json").read_text())
    models = content["models"]
    models["teacher"] |= {"accuracy": 0.98765, "cross_entropy": 0.04321}
    models["teacher"] |= {"parameters": 1199882, "size_bytes": 4_800_000}
    models["scratch"] |= {"accuracy": 0.9, "cross_entropy": None, "parameters": 1210, "size_bytes": 96_800}
    content |= {"verdict": "The student [distilled] is blessed.", "blessed": True}
    return content | {"pushed_model": "/somewhere/pushed/17"}


def draw(renderable: object, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    console.print(renderable)
    return console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def rows_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_table_names_the_state_of_each_node():
    table = NodeTable(NODES)
    assert rows_of(draw(table))[0].startswith("Starting TFX")
    table.note(NodeStarted("ExampleGen"))
    table.note(NodeFinished("ExampleGen", "cached", 0.2))
    table.note(NodeStarted("Teacher"))
    rows = rows_of(draw(table))
    assert rows[0] == "Running, 0:00"
    assert rows[3:] == ["ExampleGen cached 0:00", "Teacher running 0:00", "Distiller-distilled waiting"]


def test_table_shows_how_far_a_training_is():
    table = NodeTable(NODES)
    table.note(NodeStarted("Teacher"))
    table.note(FIRST_STEP)
    assert (
        "Teacher: epoch 4/20, step 1/843, loss 0.1000, accuracy 100.00 %, 1:20 left"
        in draw(table).splitlines()
    )
    table.note(NodeFinished("Teacher", "completed", 65.0))
    assert "epoch" not in draw(table)
    assert "Teacher completed 1:05" in rows_of(draw(table))


def test_table_shows_how_many_shards_are_written():
    table = NodeTable(NODES)
    table.note(NodeStarted("ExampleGen"))
    table.note(NodeShards("ExampleGen", 12, 171))
    assert "ExampleGen: 12 of 171 shards" in draw(table).splitlines()
    table.note(NodeFinished("ExampleGen", "completed", 65.0))
    assert "shards" not in draw(table)


def test_a_note_about_a_node_is_shown_and_stays():
    note = NodeNote("Teacher", "goes on from epoch 4, by its last checkpoint")
    table = NodeTable(NODES)
    for event in (NodeStarted("Teacher"), note, NodeFinished("Teacher", "completed", 65.0)):
        table.note(event)
    console = Console(file=io.StringIO(), width=80)
    with shown(console, nodes=NODES) as show:
        show(note)

    line = "Teacher goes on from epoch 4, by its last checkpoint."
    assert line in rows_of(draw(table))
    assert line in console.file.getvalue().splitlines()


def test_table_marks_the_node_that_failed():
    table = NodeTable(NODES)
    table.note(NodeStarted("Teacher"))
    table.note(NodeFailed("Teacher", 3.0))
    table.note(RunFailed("no", is_input_error=True))
    assert "Teacher failed 0:03" in rows_of(draw(table))
    assert rows_of(draw(table))[0] == "Failed, 0:00"


def test_table_marks_the_node_that_ran_when_the_process_died():
    table = NodeTable(NODES)
    table.note(NodeStarted("Teacher"))
    table.note(RunFailed("killed", is_input_error=False))
    assert "Teacher failed 0:00" in rows_of(draw(table))


@pytest.mark.parametrize("width", [20, 30, 40, 60])
def test_narrow_terminals_lose_no_letter(width):
    table = NodeTable(NODES)
    table.note(NodeStarted("Teacher"))
    table.note(FIRST_STEP)
    text = draw(table, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert "step1/843" in re.sub(r"\s", "", text)


def test_terminal_is_redrawn_and_says_what_was_interrupted():
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80)

    def interrupt() -> None:
        with shown(console, nodes=NODES) as show:
            show(NodeStarted("Teacher"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    text = console.file.getvalue()
    assert "\x1b[" in text
    assert "Teacher interrupted 0:00" in rows_of(text)


def test_pipe_gets_a_line_for_each_event_and_no_control_characters():
    console = Console(file=io.StringIO(), width=20)
    with shown(console, nodes=NODES) as show:
        for event in (
            NodeStarted("ExampleGen"),
            NodeFinished("ExampleGen", "cached", 0.1),
            NodeStarted("Teacher"),
            LAST_STEP,
            FIRST_STEP,
            NodeFinished("Teacher", "completed", 3723.0),
            NodeStarted("Distiller-distilled"),
            NodeFailed("Distiller-distilled", 61.0),
            RunFailed("no", is_input_error=True),
        ):
            show(event)
    text = console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    assert text.splitlines() == [
        "Starting TFX, which can take half a minute",
        "ExampleGen: running",
        "ExampleGen: cached",
        "Teacher: running",
        "Teacher: epoch 3/20, loss 0.1234, accuracy 98.12 %, 1:23 left",
        "Teacher: completed in 1:02:03",
        "Distiller-distilled: running",
        "Distiller-distilled: failed after 1:01",
        "",
    ]
    assert text.replace("\n", "").isprintable()


def test_quiet_shows_nothing(summary):
    console = Console(file=io.StringIO())
    with shown(console, nodes=NODES, quiet=True) as show:
        show(NodeStarted("Teacher"))
        show(RunFinished(Summary.model_validate(summary)))
    assert console.file.getvalue() == ""


def test_result_compares_the_models_and_says_where_everything_lies(summary, tmp_path):
    console = Console(file=io.StringIO(), width=80)
    print_result(console, Summary.model_validate(summary), workspace=tmp_path)
    rows = rows_of(console.file.getvalue().replace("\N{NO-BREAK SPACE}", " "))
    assert rows[0] == "model accuracy cross entropy parameters size"
    assert "teacher 98.77 % 0.0432 1,199,882 4.80 MB" in rows
    assert "scratch 90.00 % not finite 1,210 96.80 kB" in rows
    assert rows[-5:] == [
        "The student [distilled] is blessed.",
        "From the cache: ExampleGen (1 of 2).",
        f"Report: {tmp_path / 'report.html'}",
        f"Summary: {tmp_path / 'summary.json'}",
        "Pushed: /somewhere/pushed/17",
    ]


def test_result_says_how_many_images_had_no_label(summary, tmp_path):
    console = Console(file=io.StringIO(), width=80)
    summary["histories"][summary["candidate"]] |= {"training_examples": 180, "unlabelled_examples": 1080}
    print_result(console, Summary.model_validate(summary), workspace=tmp_path)
    assert (
        "Trained on 180 labelled images; distilled students also on 1,080 unlabelled ones."
        in console.file.getvalue().splitlines()
    )


def test_result_says_that_nothing_was_pushed_or_cached(summary, tmp_path):
    console = Console(file=io.StringIO(), width=20)
    summary |= {"pushed_model": None, "nodes": {}}
    print_result(console, Summary.model_validate(summary), workspace=tmp_path)
    text = console.file.getvalue()
    assert "From the cache" not in text
    assert text.endswith("Pushed:  nothing\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.6, "1:00:00"), (7322, "2:02:02")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_result_says_if_what_was_pushed_does_not_ship(summary, tmp_path):
    for version in ("16", "17"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    Versions(tmp_path).roll_back(to="16", reason="")
    console = Console(file=io.StringIO(), width=500)
    summary["pushed_model"] = str(tmp_path / "17")
    print_result(console, Summary.model_validate(summary), workspace=tmp_path)
    assert console.file.getvalue().splitlines()[-1] == f"Pushed:  {tmp_path / '17'}, but 16 ships"
