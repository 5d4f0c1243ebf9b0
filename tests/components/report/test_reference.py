import json
import pathlib

import jsonschema
import pytest

from components.report.reference import DOCUMENT, SCHEMA_FILE, document, json_schema
from components.report.summary import Summary

TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def content():
    return json.loads((TESTS / "example_summary.json").read_text())


def test_the_committed_schema_is_that_of_the_types():
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "run: make docs/summary.md"


def test_the_committed_page_is_that_of_the_types():
    assert DOCUMENT.read_text() == document(), "run: make docs/summary.md"


def test_the_page_has_a_row_for_every_key_of_the_example(content):
    rows = {line.split("`")[1] for line in document().splitlines() if line.startswith("| `")}
    student = content["models"]["kd_t2"]
    parts = (student, student["per_class"]["ant"], student["slices"][0], student["reliability"][0])
    parts += (content["gates"][0], content["differences"][0], content["gap_closed"]["kd_t2"])
    parts += (content["data"]["train"], content["lineage"][0], content["nodes"]["Evaluator"])
    parts += (content["histories"]["kd_t2"], content["histories"]["kd_t2"]["epochs"][0], content["machine"])
    for part in (content, *parts):
        assert set(part) <= rows


def test_rows_say_type_and_meaning_and_link_to_parts():
    lines = document().splitlines()
    for row in (
        "| `gates` | list of [Gate](#gate) | What the candidate had to meet. |",
        "| `latency_ms` | [Latency](#latency) or null | Time for one image, in milliseconds. |",
        "| `schema_version` | `1` | It changes when a key changes its meaning or goes. |",
        '| `state` | `"completed"` or `"cached"` | Whether it ran, or its outputs were there. |',
        "| `kl_from_teacher` | number or null | Mean of KL(teacher \\|\\| model), in nats. |",
        "| `configuration` | object | The configuration, with all defaults. |",
    ):
        assert row in lines


def test_the_schema_takes_what_is_written_and_nothing_else(content):
    schema = json_schema()
    jsonschema.validate(content, schema)
    jsonschema.validate(Summary.model_validate(content).model_dump(mode="json"), schema)
    for change in ({"blessed": "maybe"}, {"schema_version": 2}, {"extra": 1}, {"seed": None}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | change, schema)
    content["models"]["scratch"]["accuracy"] = 1.01
    with pytest.raises(jsonschema.ValidationError, match=r"1\.01"):
        jsonschema.validate(content, schema)
