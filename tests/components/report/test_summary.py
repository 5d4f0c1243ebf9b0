import json
import math
import pathlib
import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from components.metrics import ACCURACY, BY_NAME, METRICS, TOP_K_ACCURACY
from components.report.summary import Bin, ClassQuality, Difference, GapClosed, Gate, Model, Quality, Summary

TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def content():
    return json.loads((TESTS / "example_summary.json").read_text())


@pytest.fixture
def summary(content):
    return Summary.model_validate(content)


def test_what_is_read_is_written_again(content, summary):
    assert summary.model_dump(mode="json") == content
    assert pickle.loads(pickle.dumps(summary)) == summary


def test_a_pretrained_model_has_no_training(content):
    content["histories"]["teacher"] = {"best_epoch": None, "epochs": []}
    history = Summary.model_validate(content).histories["teacher"]
    assert history.model_dump() == {
        "best_epoch": None,
        "reference": "labels",
        "precision": None,
        "training_examples": None,
        "unlabelled_examples": None,
        "decision": None,
        "epochs": (),
    }


def test_every_metric_is_a_field_of_a_model_a_slice_and_where_it_means_something_a_class(content):
    keys = {metric.name for metric in METRICS} - {"top_k_accuracy"} | {"top_k"}
    assert set(Quality.model_fields) == keys
    assert keys < set(content["models"]["teacher"])
    of_class = set(ClassQuality.model_fields) - {"examples", "precision", "f1"}
    assert of_class == keys - {"macro_f1", "top_k"}
    for metric in METRICS:
        key = "top_k" if metric is TOP_K_ACCURACY else metric.name
        assert Model.model_fields[key].description == metric.description


def test_a_metric_is_read_by_its_place_in_the_table(content):
    content["models"]["kd_t2"] |= {"top_k": {"k": 5, "accuracy": 0.99}, "accuracy": None}
    summary = Summary.model_validate(content)
    assert summary.student.metric(TOP_K_ACCURACY) == 0.99
    assert summary.student.metric(ACCURACY) is None
    assert summary.teacher.metric(TOP_K_ACCURACY) is None
    assert summary.teacher.metric(BY_NAME["kl_from_teacher"]) == 0.08


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None])
def test_a_number_that_is_not_finite_is_null(number):
    gap = GapClosed(estimate=number, confidence_interval=(0.5, number), reason="why")
    assert json.loads(gap.model_dump_json()) == {
        "estimate": None,
        "confidence_interval": None,
        "reason": "why",
    }
    bin_ = Bin(low=0, high=0.5, count=0, confidence=number, accuracy=0.5)
    assert (bin_.confidence, bin_.accuracy) == (None, 0.5)
    gate = Gate(
        **{"name": "n", "model": "m", "baseline": None, "slice": None, "relation": "at least"},
        **{"unit": "ratio", "bound": 0.5, "measured": number, "held": False, "detail": ""},
    )
    assert gate.measured is None


def test_an_interval_keeps_its_ends():
    gap = GapClosed(estimate=0.5, confidence_interval=(0.25, 0.75), reason=None)
    assert gap.confidence_interval == (0.25, 0.75)


def test_the_leads_are_the_candidate_s_differences_in_accuracy(summary):
    assert [(each.baseline, each.estimate) for each in summary.leads] == [
        ("scratch", 0.03),
        ("teacher", -0.04),
        ("incumbent", 0.02),
    ]
    assert all(isinstance(each, Difference) for each in summary.leads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidate": "kd"}, "models lacks 'kd'"),
        ({"models": {}}, "models lacks 'teacher'"),
        ({"schema_version": 2}, "schema_version"),
        ({"lead": 0.5}, "lead"),
        ({"confidence": math.nan}, "confidence"),
    ],
)
def test_what_is_no_summary_is_refused(content, change, message):
    with pytest.raises(ValidationError, match=message):
        Summary.model_validate(content | change)


def test_a_part_that_lacks_a_key_or_is_out_of_range_is_refused(content):
    del content["gates"][0]["held"]
    content["models"]["scratch"]["accuracy"] = 1.5
    with pytest.raises(ValidationError) as caught:
        Summary.model_validate(content)
    assert [each["loc"] for each in caught.value.errors()] == [
        ("gates", 0, "held"),
        ("models", "scratch", "accuracy"),
    ]


def test_nothing_can_be_changed(summary):
    with pytest.raises(ValidationError, match="frozen"):
        summary.blessed = True


NEW_METRIC = """
import json, pathlib, sys
from components import metrics

brier = metrics.Metric(
    name="brier_score", description="Mean squared error of the probabilities.", heading="Brier score",
    unit="none", better="low", compute=None, decimals=3, as_percentage=False, is_headline=True,
)
metrics.METRICS += (brier,)

from rich.console import Console
from components.report.comparison import render_comparison
from components.report.markdown import to_markdown
from components.report.page import render
from components.report.reference import document, json_schema
from components.report.summary import Summary
from pipeline.cli.screen import print_result
from pipeline.results.compare import to_tables

content = json.loads(pathlib.Path(sys.argv[1]).read_text())
for model in content["models"].values():
    for part in (model, *model["slices"], *model["per_class"].values()):
        part["brier_score"] = 0.1254
summary = Summary.model_validate(content)
places = [render(summary), to_markdown(summary), render_comparison({"a": summary})]
assert all("Brier score" in place and "0.125" in place for place in places)
assert document().count("Mean squared error of the probabilities.") == 3
assert json_schema()["$defs"]["Model"]["properties"]["brier_score"]["anyOf"]
console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))
console.print(to_tables({"a": summary}))
assert "Brier score" in console.export_text()
print_result(console, summary, workspace=pathlib.Path("runs"))
text = console.export_text()
assert "brier score" in text and "0.125" in text
"""


def test_a_metric_that_is_added_to_the_table_appears_everywhere():
    example = TESTS / "example_summary.json"
    subprocess.run([sys.executable, "-c", NEW_METRIC, str(example)], check=True, cwd=TESTS.parent)
