import html.parser
import re

import pytest

from components.evaluator.report import render

VOID = {"meta", "path", "use", "br", "link", "img", "rect"}


class Page(html.parser.HTMLParser):
    """Collects a page's tags, attributes and text; complains of a tag that is not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def history(accuracies, best):
    epochs = [
        {"epoch": number, "val_accuracy": accuracy, "val_loss": 0.1}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    return {"best_epoch": best, "epochs": epochs}


@pytest.fixture
def evaluation():
    """What the executor has to show, with a class whose name is HTML."""

    def model(role, accuracy):
        per_class = {"<b>": {"accuracy": accuracy, "examples": 8}, "bee": {"accuracy": None, "examples": 0}}
        return {
            "role": role,
            "accuracy": accuracy,
            "cross_entropy": None if role == "scratch" else 0.12345,
            "parameters": 1234567,
            "size_bytes": 56789,
            "per_class": per_class,
        }

    return {
        "class_names": ["<b>", "bee"],
        "test_examples": 8,
        "candidate": "kd",
        "blessed": False,
        "verdict": "The student 'kd' is <not> blessed.",
        "gates": [
            {"name": "accuracy", "model": "kd", "bound": 0.9, "measured": 0.875, "held": False},
            {"name": "finite cross-entropy", "model": "kd", "bound": None, "measured": None, "held": False},
        ],
        "models": {
            "teacher": model("teacher", 1.0),
            "scratch": model("scratch", 0.75),
            "kd": model("distilled", 0.875),
        },
    }


@pytest.fixture
def histories():
    return {
        "teacher": history([0.5, 0.9, 1.0], best=3),
        "scratch": history([0.4], best=1),
        "kd": history([0.6, 0.8, 0.7], best=2),
    }


@pytest.fixture
def run(evaluation):
    """What a whole run has to show."""
    skipped = [{"id": "train/<i>.jpg", "reason": "truncated & short"}]
    return evaluation | {
        "name": "pets",
        "pushed_model": None,
        "nodes": {"Teacher": {"state": "completed", "seconds": 75.3}},
        "data": {
            "train": {"examples": 1000, "skipped": 1, "skipped_images": skipped},
            "test": {"examples": 8, "skipped": 0, "skipped_images": []},
        },
    }


@pytest.mark.parametrize("which", ["evaluation", "run"])
def test_the_page_is_well_formed_and_self_contained(request, histories, which):
    page = render(request.getfixturevalue(which), histories=histories)
    parsed = Page(page)
    assert parsed.open == []
    assert page.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    for name, value in parsed.attributes:
        if name in ("src", "href", "xlink:href", "action", "poster"):
            assert value.startswith("#")
    assert not re.search(r"@import|url\((?!#)", page)


def test_everything_is_escaped(run, histories):
    page = render(run, histories=histories)
    parsed = Page(page)
    assert "b" not in parsed.tags
    assert "i" not in parsed.tags
    for text in ("<b>", "The student 'kd' is <not> blessed.", "train/<i>.jpg", "truncated & short"):
        assert text in parsed.text


def test_the_page_shows_the_numbers(run, histories):
    text = Page(render(run, histories=histories)).text.replace("\N{NO-BREAK SPACE}", " ")
    for shown in ("87.5 %", "100.0 %", "0.1235", "1,234,567", "56.8 kB", "1 min 15 s", "Nothing was pushed."):
        assert shown in text


def test_the_chart_says_in_words_what_it_shows(evaluation, histories):
    labels = [
        value
        for name, value in Page(render(evaluation, histories=histories)).attributes
        if name == "aria-label"
    ]
    (label,) = (label.replace("\N{NO-BREAK SPACE}", " ") for label in labels)
    assert "teacher: best 100.0 % in epoch 3 of 3." in label
    assert "scratch: best 40.0 % in epoch 1 of 1." in label
    assert "kd: best 80.0 % in epoch 2 of 3." in label


def test_the_chart_has_a_line_for_each_model_in_the_colours_of_the_page(evaluation, histories):
    page = render(evaluation, histories=histories)
    chart = page[page.index("<svg") : page.index("</svg>")]
    assert re.findall(r">(teacher|scratch|kd)</text>", chart) == ["teacher", "scratch", "kd"]
    assert {f"--series-{index}" for index in range(3)} <= set(re.findall(r"var\((--[a-z0-9-]+)\)", chart))
    assert not re.search(r"#[0-9a-f]{6}", chart)


def test_the_same_evaluation_gives_the_same_page(evaluation, histories):
    assert render(evaluation, histories=histories) == render(evaluation, histories=histories)


def test_ids_are_unique(run, histories):
    ids = [value for name, value in Page(render(run, histories=histories)).attributes if name == "id"]
    assert len(ids) == len(set(ids))
