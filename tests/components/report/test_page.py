import base64
import copy
import html.parser
import io
import itertools
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from components.report import page as report
from components.report.summary import Evaluation, Run, Summary
from components.report.terminal import to_text

TESTS = pathlib.Path(__file__).parents[2]
VOID = {"meta", "path", "use", "br", "link", "img", "image", "rect"}
SECTIONS = [
    "models",
    "differences",
    "gates",
    "training",
    "cost",
    "classes",
    "confusion",
    "reliability",
    "disagreements",
    "architecture",
    "drift",
    "data",
    "run",
]


class Page(html.parser.HTMLParser):
    """Collects a page's tags, attributes and text; complains of a tag that is not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def alternatives(self):
        return [
            each["aria-label"].replace("\N{NO-BREAK SPACE}", " ")
            for each in self.all("div")
            if each.get("role") == "img"
        ]


def render(summary, *, disagreements=()):
    """Renders the report of the content of a `summary.json`."""
    return report.render(Summary.model_validate(summary), disagreements=disagreements)


def read_summary():
    return json.loads((TESTS / "example_summary.json").read_text())


def read_disagreements():
    return json.loads((TESTS / "example_disagreements.json").read_text())["images"]


@pytest.fixture
def summary():
    """A run with two distilled students and an incumbent, as `summary.schema.json` has it."""
    return read_summary()


@pytest.fixture
def disagreements():
    return read_disagreements()


@pytest.fixture(scope="module")
def text():
    """The report of that run."""
    return render(read_summary(), disagreements=read_disagreements())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def sections(page):
    return [each["aria-labelledby"] for each in page.all("section")]


def test_the_page_is_well_formed_and_self_contained(text, page):
    assert text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "action", "poster"):
            assert value.startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"@import|url\((?!#)", text)


def test_it_has_every_section_and_links_to_each(page):
    assert sections(page) == SECTIONS
    assert [each["href"] for each in page.all("a")] == [f"#{section}" for section in SECTIONS]


def test_the_verdict_comes_first_with_the_numbers_that_carry_it(page):
    text = " ".join(page.text.split())
    top = text[: text.index("Quality on the test split")]
    assert "✗ Not blessed. The student 'kd_t2' is not blessed: accuracy 91.0 % on image_size=256-511" in top
    assert "interval +1.00 to +5.00 +3.00 points" in top
    assert "accuracy against teacher interval −6.00 to −2.00 −4.00 points" in top  # noqa: RUF001
    assert "closed interval 15 % to 66 % 43 %" in top
    assert "44.84 kB instead of 380.26 kB 8.5 ×" in top  # noqa: RUF001
    assert "0.40 ms instead of 2.10 ms 5.2 ×" in top  # noqa: RUF001


def test_the_tables_show_the_numbers(page):
    for shown in (
        *("85,066", "1.20 M", "2.94 ms", "22,500", "0.9280", "0.0800"),
        *("−0.0560 to −0.0160", "0.011", "at most 1.00 MB", "at least 92.00 %", "−2.00 %"),  # noqa: RUF001
        "The gap that kd_t8 closed is undefined: the teacher is not better than scratch.",
        *("image_size 256-511", "8×8×32", "6,147", "has 70 × the parameters of the student"),  # noqa: RUF001
        *("bee/7.jpg", "truncated", "No anomalies were found."),
        *("14.2 s", "student_loss_weight: 0.1", "tensorflow 2.21.0", "artifacts/Evaluator/evaluation/11"),
    ):
        assert shown in page.text


def test_the_page_shows_drift_and_duplicates(page):
    text = " ".join(page.text.split())
    for shown in (
        "against the 2,400 that the student that ships, version 1795644415, was trained on",
        "brightness✗ yes mean 118.3 before, 61.0 now< 0.0010.412",
        "label✓ no bee: 33.0 % before, 34.5 % now0.6100.031",
        "validation30000 test30012",
        "Duplicates in test: the first 2",
        "bee/11.jpg is bee/copy of 11.jpg",
        "ant/3.jpg is nearly ant/3_small.jpg",
    ):
        assert shown in text


def test_the_page_says_where_there_was_nothing_to_compare_with(summary):
    summary["data_check"] = {"drift": None, "duplicates": []}
    assert "There is nothing to compare the training images with" in Page(render(summary)).text
    # As in summaries of earlier versions.
    summary["data_check"] = None
    assert "drift" not in sections(Page(render(summary)))


def test_an_evaluation_knows_nothing_of_its_run(summary, disagreements):
    content = {key: value for key, value in summary.items() if key not in Run.model_fields}
    page = Page(report.render(Evaluation.model_validate(content), disagreements=disagreements))
    assert sections(page) == SECTIONS[:-2]
    assert "Is the student good enough to ship?" in page.text
    assert "pushed" not in page.text


def test_what_a_run_does_not_have_is_left_out(summary):
    """No teacher or student was trained, nothing finite came out, and the models agree on every image."""
    pretrained = {"best_epoch": None, "epochs": []}
    summary["histories"] = dict.fromkeys(summary["histories"], pretrained)
    for model in summary["models"].values():
        for each in model["reliability"]:
            each |= {"count": 0, "confidence": None, "accuracy": None}
    missing = {"training", "reliability", "disagreements"}
    assert sections(Page(render(summary))) == [each for each in SECTIONS if each not in missing]


def test_the_page_says_which_spans_the_data_are(text, summary):
    assert "<p>Spans: 2026-11-15 (version 1), 2026-11-22 (version 2).</p>" in text
    assert "Spans" not in render(summary | {"spans": []})


def test_the_page_says_how_many_images_had_no_label(summary):
    sentence = "Trained on 2,400 labelled images; distilled students also on 9,600 unlabelled ones."
    same_batches = "see the same batches: they differ in the loss alone"
    without = " ".join(Page(render(summary)).text.split())
    summary["histories"][summary["candidate"]] |= {"training_examples": 2400, "unlabelled_examples": 9600}
    # On the page of Kubeflow there is no more than the evaluation.
    evaluation = Evaluation.model_validate({key: summary[key] for key in Evaluation.model_fields})
    beside = " ".join(Page(report.render(evaluation)).text.split())
    assert sentence in beside
    assert same_batches not in beside
    assert same_batches in without
    assert "unlabelled" not in without


def test_curves_say_what_the_models_were_trained_in(summary):
    summary["histories"]["scratch"]["precision"] = "mixed_bfloat16"
    summary["histories"]["teacher"]["precision"] = None
    text = Page(render(summary)).text
    assert text.count("Trained in float32 and mixed_bfloat16.") == 2  # Scratch against each of two students.
    assert text.count("Trained in") == 2


def test_a_teacher_that_was_not_trained_has_no_curve(summary):
    summary["histories"]["teacher"] = {"best_epoch": None, "epochs": []}
    shown = Page(render(summary)).alternatives()
    assert any(each.startswith("Accuracy of scratch and") for each in shown)
    assert not any(each.startswith("Accuracy of teacher") for each in shown)
    (loss,) = (each for each in shown if each.startswith("Validation cross-entropy"))
    assert "teacher:" not in loss


def test_numbers_that_are_not_there_are_no_obstacle(summary):
    """A model that returns NaN, a class without examples, costs that cannot be measured."""
    broken = summary["models"]["kd_t2"]
    unknown = ("accuracy", "cross_entropy", "expected_calibration_error", "macro_f1", "auc", "multiply_adds")
    broken |= dict.fromkeys((*unknown, "latency_ms", "throughput", "agreement_with_teacher"))
    broken["per_class"]["bee"] |= {"examples": 0, "accuracy": None}
    for each in summary["differences"]:
        each |= {"estimate": None, "confidence_interval": None, "p_value": None}
    summary["histories"]["kd_t2"]["epochs"][1]["val_loss"] = None
    summary["data"]["train"]["classes"] = None
    text = " ".join(Page(render(summary)).text.split())
    assert "accuracy against scratch undefined" in text
    assert "nan" not in text.lower()


def test_a_student_that_is_larger_and_slower_is_called_so(summary):
    summary["models"]["kd_t2"] |= {"size_bytes": 760_528, "latency_ms": {"median": 3.15, "p95": 4.0}}
    text = " ".join(Page(render(summary)).text.split())
    assert "larger than the teacher 760.53 kB instead of 380.26 kB 2.0 ×" in text  # noqa: RUF001
    assert "slower than the teacher, one image 3.15 ms instead of 2.10 ms 1.5 ×" in text  # noqa: RUF001


def test_everything_is_escaped(summary, disagreements):
    hostile = re.sub(r"\bant\b", "<b>", json.dumps(summary))
    hostile = json.loads(hostile.replace("bee/7.jpg", "<i>.jpg"))
    hostile["verdict"] = "The student is <not> blessed."
    disagreements[0]["id"] = '"><i>'
    page = Page(render(hostile, disagreements=disagreements))
    assert not {"b", "i", "not"} & {tag for tag, _ in page.tags}
    for text in ("<b>", "The student is <not> blessed.", "<i>.jpg"):
        assert text in page.text


def test_charts_say_in_words_what_they_show(page):
    alternatives = page.alternatives()
    for shown in (
        "scratch: best 84.0 % in validation, in epoch 5 of 6.",
        "kd_t2 against scratch: +3.00, interval +1.00 to +5.00;",
        "teacher: 97.0 % at 380.26 kB",
        "teacher: 97.0 % at 2.10 ms",
        "Most errors of kd_t2: ant, with teacher 3.0 %, scratch 10.0 %, kd_t2 7.0 %",
        "Confusion matrix of kd_t2. Most frequent: ant taken for bee, 4 times; bee taken for cat, 4 times",
        "Reliability diagram of kd_t2. Accuracy by mean confidence: 35.6 % at 36.7 %",
        "Fewest: ant, 800; most: ant, 800.",
    ):
        assert any(shown in alternative for alternative in alternatives), shown
    assert len(alternatives) == 1 + 4 + 2 + 1 + 5 + 5 + 1
    assert len(alternatives) == len(set(alternatives))


def test_a_screen_reader_can_follow(text, page):
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in itertools.pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table")) > 9
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
    assert {"Test image ant/0.png of class ant", "Test image cat/5.png of class cat"} <= {
        each["alt"] for each in page.all("img")
    }
    assert len(page.all("svg")) == len(page.alternatives())


def test_charts_take_their_colours_and_fonts_from_the_page(text):
    for chart in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        assert not re.search(r"#[0-9a-f]{6}", chart)
        assert "<text" in chart
    defined = set(re.findall(r"(--[a-z0-9-]+):", text))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) <= defined


def test_ids_are_unique(page):
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for name, value in page.attributes:
        if name == "xlink:href" and value.startswith("#"):
            assert value[1:] in ids
        assert set(re.findall(r"url\(#([^)]+)\)", value or "")) <= set(ids)


def test_the_same_evaluation_gives_the_same_page(text, summary, disagreements):
    assert render(summary, disagreements=disagreements) == text


def photograph_of_30_kb():
    pixels = np.random.default_rng(0).integers(256, size=(100, 100, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert 30_000 < len(buffer.getvalue()) < 33_000
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_many_classes_stay_small_and_readable(summary, disagreements):
    """A hundred classes, 24 photographs of 30 kB."""
    names = [f"class {number:03}" for number in range(100)]
    many = copy.deepcopy(summary) | {"class_names": names}
    for model in many["models"].values():
        quality = model["per_class"]["ant"]
        model["per_class"] = {
            name: quality | {"accuracy": 0.5 if name == "class 042" else 0.9} for name in names
        }
        model["confusion_matrix"] = [
            [90 if label == prediction else 1 for prediction in range(100)] for label in range(100)
        ]
    for split in many["data"].values():
        split["classes"] = dict.fromkeys(names, 8)
    photograph = photograph_of_30_kb()
    photographs = [each | {"image": photograph} for each in 4 * disagreements]

    text = render(many, disagreements=photographs)

    assert len(text) < 3_000_000
    page = Page(text)
    assert {image.get("class") for image in page.all("img")} == {"smooth"}
    (classes,) = (each for each in page.alternatives() if each.startswith("Errors for each class"))
    assert "Most errors of kd_t2: class 042" in classes
    assert sum(">class " in line for line in re.findall(r"<text[^<]*<", text)) < 20 + 5 * 2 * 20 + 1


@pytest.fixture
def searched(summary):
    """The example as if kd_t2 had been the best of four variants, and advice had been given."""
    tried = [(2.0, 0.5, 0.91), (4.0, 0.1, 0.95), (4.0, 0.5, 0.9307), (8.0, 0.1, 0.9304)]
    summary["searches"] = {
        "kd_t2": [
            {"settings": {"temperature": temperature, "student_loss_weight": weight}, "best_epoch": 3}
            | {"chosen": accuracy == 0.95, "epochs": 6, "val_accuracy": accuracy, "val_loss": None}
            for temperature, weight, accuracy in tried
        ]
    }
    return summary | {"variants_tried": 5, "advice": ["raise <everything>"]}


def test_variants_are_folded_into_one_row_and_a_table_of_their_own(searched):
    text = render(searched)
    page = Page(text)

    assert sections(page)[3:6] == ["training", "search", "cost"]
    assert "kd_t2 (best of 4)" in page.text
    assert "only the best of each distillation went on to the test split" in page.text
    (folded,) = re.findall(r"<details>\s*<summary>kd_t2: the 4 variants.*?</details>", text, flags=re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", folded, flags=re.DOTALL)
    cells = [re.findall(r">([^<>]+)</t[dh]>", row.replace("\N{NO-BREAK SPACE}", " ")) for row in rows]
    assert cells == [
        ["temperature", "student_loss_weight", "accuracy", "cross-entropy", "best epoch", "epochs trained"],
        ["4", "0.1", "95.0 %", "–", "3", "6"],  # noqa: RUF001
        ["4", "0.5", "93.1 %", "–", "3", "6"],  # noqa: RUF001
        ["8", "0.1", "93.0 %", "–", "3", "6"],  # noqa: RUF001
        ["2", "0.5", "91.0 %", "–", "3", "6"],  # noqa: RUF001
    ]
    assert [row.startswith('<tr class="chosen"') for row in rows] == [False, True, False, False, False]


def test_a_variant_that_diverged_comes_last_and_says_when(searched):
    lost = {"chosen": False, "best_epoch": None, "val_accuracy": None, "val_loss": None}
    last = {"settings": {"temperature": 9.0, "student_loss_weight": 0.1}, "diverged_in": 2, "epochs": 1}
    searched["searches"]["kd_t2"].insert(0, lost | last)

    text = render(searched)

    (folded,) = re.findall(
        r"<details>\s*<summary>kd_t2: the 5 variants on the validation split; 1 diverged<.*?</details>",
        text,
        flags=re.DOTALL,
    )
    rows = re.findall(r"<tr.*?</tr>", folded, flags=re.DOTALL)
    assert re.findall(r">([^<>]+)</td>", rows[-1]) == ["9", "0.1", "diverged in epoch 2", "–", "–", "1"]  # noqa: RUF001


def test_the_other_students_test_numbers_are_no_choice(summary):
    warning = "No student should be chosen by these numbers"
    assert warning in Page(render(summary)).text
    del summary["gap_closed"]["kd_t8"]
    assert warning not in Page(render(summary)).text


def test_advice_stands_beside_the_verdict(searched, text):
    page = Page(render(searched))
    top = page.text[: page.text.index("Quality on the test split")]
    assert "What to change: raise <everything>" in top
    assert "What to change" not in text


def test_the_terminal_folds_variants_too(searched):
    lines = to_text(Summary.model_validate(searched)).splitlines()
    assert [line.split("  ")[0] for line in lines[2:7]] == [
        "teacher",
        "scratch",
        "kd_t2 (best of 4)",
        "kd_t8",
        "incumbent",
    ]


@pytest.fixture
def unlabelled(summary):
    """The example as if it had been distilled without labels."""
    del summary["models"]["scratch"]
    summary["histories"] = {
        name: history | {"reference": "teacher"}
        for name, history in summary["histories"].items()
        if name not in ("scratch", "teacher")
    }
    summary["differences"] = [each for each in summary["differences"] if each["baseline"] != "scratch"]
    undefined = {"estimate": None, "confidence_interval": None, "reason": "there is no scratch"}
    summary["gap_closed"] = dict.fromkeys(summary["gap_closed"], undefined)
    for split in ("train", "validation"):
        summary["data"][split]["classes"] = None
    return summary


def test_without_labels_the_curves_are_of_the_agreement_with_the_teacher(unlabelled):
    page = Page(render(unlabelled))

    curves = [words for words in page.alternatives() if "by epoch" in words]
    students = [name for name, model in unlabelled["models"].items() if model["role"] == "distilled"]
    assert [words.partition(" by epoch")[0] for words in curves] == [
        *(f"Agreement with the teacher of {name}" for name in students),
        "Validation cross-entropy",
    ]
    assert "Cross-entropy with the teacher's classes on the validation split" in page.text
    assert "trained from scratch" not in page.text
