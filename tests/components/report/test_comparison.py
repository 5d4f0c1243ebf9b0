import copy
import json
import pathlib

import pytest

from components.report.comparison import changed_settings, is_fair, render_comparison, tables

TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def runs():
    """The example, and a run at another temperature whose student is better, smaller and blessed."""
    first = json.loads((TESTS / "example_summary.json").read_text())
    second = copy.deepcopy(first)
    second |= {"candidate": "kd_t8", "blessed": True, "verdict": "The student is <fine>."}
    second["models"]["kd_t8"] |= {"accuracy": 0.955, "size_bytes": 12_345}
    second["differences"] = [
        {"candidate": "kd_t8", "baseline": "scratch", "slice": None, "metric": "accuracy"}
        | {"estimate": 0.055, "confidence_interval": [0.03, 0.08], "p_value": 0.001}
    ]
    second["configuration"]["distillations"][0]["temperature"] = 3.0
    del second["configuration"]["distillations"][1]
    return {"a": first, "b": second}


def test_tables_show_each_run_s_own_candidate(runs):
    cells = {column.heading: column.cells for columns in tables(runs).values() for column in columns}
    shown = {
        heading: {name: cell.replace("\N{NO-BREAK SPACE}", " ") for name, cell in cells[heading].items()}
        for heading in cells
    }
    assert shown["Blessed"] == {"a": "no", "b": "yes"}
    assert shown["Candidate"] == {"a": "kd_t2", "b": "kd_t8"}
    assert shown["Accuracy"] == {"a": "93.0 %", "b": "95.5 %"}
    assert shown["Against scratch (points)"] == {"a": "+3.00 (+1.00 to +5.00)", "b": "+5.50 (+3.00 to +8.00)"}
    assert shown["Against teacher (points)"]["b"] == "–"  # noqa: RUF001
    assert shown["Gap closed"] == {"a": "43 %", "b": "–"}  # noqa: RUF001
    assert shown["Size"] == {"a": "44.8 kB", "b": "12.3 kB"}


def test_settings_that_differ_are_named_as_on_the_command_line(runs):
    assert changed_settings(runs) == {
        "distillations.0.temperature": {"a": "2.0", "b": "3.0"},
        "distillations.1.name": {"a": "kd_t8", "b": "–"},  # noqa: RUF001
        "distillations.1.method": {"a": "kd", "b": "–"},  # noqa: RUF001
        "distillations.1.temperature": {"a": "8.0", "b": "–"},  # noqa: RUF001
        "distillations.1.student_loss_weight": {"a": "0.1", "b": "–"},  # noqa: RUF001
    }


def test_runs_on_other_test_images_are_not_compared_fairly(runs):
    assert is_fair(runs)
    assert "different test images" not in render_comparison(runs)
    runs["b"]["test_examples"] = 299
    assert not is_fair(runs)
    assert "different test images" in render_comparison(runs)


def test_the_page_shows_every_run_and_escapes_it(runs):
    page = render_comparison(runs)
    assert page.startswith("<!DOCTYPE html>")
    assert "The student is &lt;fine&gt;." in page
    assert page.count("<svg") == 3
    assert "b against scratch: +5.50, interval +3.00 to +8.00" in page


def test_a_run_without_intervals_or_configuration_is_no_obstacle(runs):
    for key in ("differences", "gap_closed", "configuration"):
        del runs["a"][key]
    cells = {column.heading: column.cells for columns in tables(runs).values() for column in columns}
    assert cells["Against scratch (points)"]["a"] == "–"  # noqa: RUF001
    assert render_comparison(runs).count("<svg") == 3


def test_a_run_without_scratch_is_no_obstacle(runs):
    del runs["a"]["models"]["scratch"]
    runs["a"]["differences"] = [each for each in runs["a"]["differences"] if each["baseline"] != "scratch"]
    undefined = {"estimate": None, "confidence_interval": None, "reason": "there is no scratch"}
    runs["a"]["gap_closed"] = dict.fromkeys(runs["a"]["gap_closed"], undefined)
    cells = {column.heading: column.cells for columns in tables(runs).values() for column in columns}
    assert cells["Against scratch (points)"]["a"] == "–"  # noqa: RUF001
    assert cells["Gap closed"]["a"] == "–"  # noqa: RUF001
    assert "Against scratch" in render_comparison(runs)
