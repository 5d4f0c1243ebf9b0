import copy
import json
import pathlib

import pytest

from components.report.comparison import changed_settings, is_fair, render_comparison, tables
from components.report.summary import Summary

TESTS = pathlib.Path(__file__).parents[2]


def read(contents):
    return {name: Summary.model_validate(content) for name, content in contents.items()}


def cells(runs):
    """The cells of all tables, by heading and run."""
    return {column.heading: column.cells for columns in tables(runs).values() for column in columns}


@pytest.fixture
def runs(contents):
    return read(contents)


@pytest.fixture
def contents():
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
    shown = {
        heading: {name: cell.replace("\N{NO-BREAK SPACE}", " ") for name, cell in column.items()}
        for heading, column in cells(runs).items()
    }
    assert shown["Blessed"] == {"a": "no", "b": "yes"}
    assert shown["Candidate"] == {"a": "kd_t2", "b": "kd_t8"}
    assert shown["Accuracy"] == {"a": "93.0 %", "b": "95.5 %"}
    assert shown["Against scratch (points)"] == {"a": "+3.00 (+1.00 to +5.00)", "b": "+5.50 (+3.00 to +8.00)"}
    assert shown["Against teacher (points)"]["b"] == "–"  # noqa: RUF001
    assert shown["Gap closed"] == {"a": "43 %", "b": "–"}  # noqa: RUF001
    assert shown["Size"] == {"a": "44.84 kB", "b": "12.35 kB"}


def test_settings_that_differ_are_named_as_on_the_command_line(runs):
    assert changed_settings(runs) == {
        "distillations.0.temperature": {"a": "2.0", "b": "3.0"},
        "distillations.1.name": {"a": "kd_t8", "b": "–"},  # noqa: RUF001
        "distillations.1.method": {"a": "kd", "b": "–"},  # noqa: RUF001
        "distillations.1.temperature": {"a": "8.0", "b": "–"},  # noqa: RUF001
        "distillations.1.student_loss_weight": {"a": "0.1", "b": "–"},  # noqa: RUF001
    }


def test_a_search_is_compared_by_its_winner_and_by_its_lists(contents):
    tried = {"best_epoch": 1, "epochs": 2, "val_accuracy": 0.9, "val_loss": 0.5}
    settings = [{"settings": {"temperature": t}, "chosen": t == 3.0} | tried for t in (1.0, 3.0)]
    contents["b"]["searches"] = {"kd_t8": settings}
    contents["b"]["configuration"]["distillations"][0]["temperature"] = [1.0, 3.0]
    runs = read(contents)
    assert cells(runs)["Candidate"] == {"a": "kd_t2", "b": "kd_t8 (best of 2)"}
    assert changed_settings(runs)["distillations.0.temperature"] == {"a": "2.0", "b": "[1.0, 3.0]"}
    assert "kd_t8 (best of 2)" in render_comparison(runs)


def test_runs_on_other_test_images_are_not_compared_fairly(runs):
    assert is_fair(runs)
    assert "different test images" not in render_comparison(runs)
    runs["b"] = runs["b"].model_copy(update={"test_examples": 299})
    assert not is_fair(runs)
    assert "different test images" in render_comparison(runs)


def test_which_images_models_learn_from_changes_no_test_image(runs):
    configuration = dict(runs["b"].configuration)
    configuration["data"] = {**configuration["data"], "unlabelled": "photos", "labelled_fraction": 0.1}
    runs["b"] = runs["b"].model_copy(update={"configuration": configuration})
    assert is_fair(runs)
    configuration["data"] = {**configuration["data"], "path": "others"}
    assert not is_fair(runs)


def test_the_page_shows_every_run_and_escapes_it(runs):
    page = render_comparison(runs)
    assert page.startswith("<!DOCTYPE html>")
    assert "The student is &lt;fine&gt;." in page
    assert page.count("<svg") == 3
    assert "b against scratch: +5.50, interval +3.00 to +8.00" in page


def test_differences_that_are_undefined_are_no_obstacle(contents):
    for each in contents["a"]["differences"]:
        each |= {"estimate": None, "confidence_interval": None, "p_value": None}
    runs = read(contents)
    assert cells(runs)["Against scratch (points)"]["a"] == "–"  # noqa: RUF001
    page = render_comparison(runs)
    assert page.count("<svg") == 3
    assert "a against scratch" not in page


def test_a_difference_without_an_interval_is_shown_alone(contents):
    for each in contents["a"]["differences"]:
        each["confidence_interval"] = None
    assert cells(read(contents))["Against scratch (points)"]["a"] == "+3.00"


def test_a_run_without_scratch_is_no_obstacle(contents):
    del contents["a"]["models"]["scratch"]
    contents["a"]["differences"] = [
        each for each in contents["a"]["differences"] if each["baseline"] != "scratch"
    ]
    undefined = {"estimate": None, "confidence_interval": None, "reason": "there is no scratch"}
    contents["a"]["gap_closed"] = dict.fromkeys(contents["a"]["gap_closed"], undefined)
    runs = read(contents)
    assert cells(runs)["Against scratch (points)"]["a"] == "–"  # noqa: RUF001
    assert cells(runs)["Gap closed"]["a"] == "–"  # noqa: RUF001
    assert "Against scratch" in render_comparison(runs)
