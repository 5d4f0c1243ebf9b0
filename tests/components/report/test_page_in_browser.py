"""The report and the comparison in a real browser."""

import html
import io
import itertools
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from components.report.comparison import render_comparison
from components.report.page import render
from components.report.summary import Summary

TESTS = pathlib.Path(__file__).parents[2]
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
TEXT_COLOURS = ("--ink", "--faint", "--good", "--bad")

LUMINANCE = """
const luminance = name => {
  const canvas = document.createElement('canvas').getContext('2d');
  canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
  canvas.fillRect(0, 0, 1, 1);
  const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(byte => byte / 255).map(
    value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
"""


def variants(number):
    """Variants of many settings, of which the first is chosen."""
    keys = ("temperature", "target_weight", "non_target_weight", "warmup_epochs", "student_loss_weight")
    return [
        {"settings": dict.fromkeys(keys, each / 7), "chosen": each == 0, "best_epoch": 9, "epochs": 10}
        | {"val_accuracy": 1 - each / 64, "val_loss": 0.5}
        for each in range(number)
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of a run and the comparison of two, on disk."""
    folder = tmp_path_factory.mktemp("pages")
    content = json.loads((TESTS / "example_summary.json").read_text())
    summary = Summary.model_validate(content | {"searches": {"kd_t2": variants(32)}, "advice": ["Try it."]})
    disagreements = json.loads((TESTS / "example_disagreements.json").read_text())["images"]
    (folder / "report.html").write_text(render(summary, disagreements=disagreements))
    long_name = "a-run-whose-name-tells-all-that-there-is-to-tell-about-it"
    (folder / "comparison.html").write_text(render_comparison({long_name: summary, "b": summary}))
    return folder


@pytest.mark.parametrize(
    ("page", "width", "scheme"), itertools.product(("report.html", "comparison.html"), WIDTHS, SCHEMES)
)
def test_the_page_opens_from_disk_without_error_request_or_sideways_scrolling(
    browser, pages, page, width, scheme
):
    visit = browser.visit(pages / page, width=width, scheme=scheme)
    assert visit.messages == []
    assert visit.requests == [(pages / page).as_uri()]
    assert visit.excess_width == 0
    assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, SCHEMES, strict=True))
def test_every_chart_and_image_is_seen(browser, pages, width, scheme):
    """Looks at the pixels: a chart has at least paper, ink and a colour of its own."""
    browser.visit(pages / "report.html", width=width, scheme=scheme)
    charts = browser.driver.find_elements("css selector", "figure svg")
    assert len(charts) == 1 + 4 + 2 + 1 + 5 + 5 + 1
    for chart in charts:
        assert chart.rect["x"] >= 0
        assert chart.rect["x"] + chart.rect["width"] <= width
        assert chart.rect["width"] >= min(300, width - 60)
        with Image.open(io.BytesIO(chart.screenshot_as_png)) as image:
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        is_drawn = counts > 20
        assert is_drawn.sum() >= 3
        assert np.ptp(colours[is_drawn].astype(int), axis=1).max() > 60
    sizes = browser.run("return [...document.images].map(each => [each.naturalWidth, each.width])")
    assert len(sizes) == 6
    assert all(natural == 8 and shown > 100 for natural, shown in sizes)


@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, SCHEMES, strict=True))
def test_the_variants_of_a_search_unfold_without_a_script(browser, pages, width, scheme):
    browser.visit(pages / "report.html", width=width, scheme=scheme)
    section = browser.driver.find_element("css selector", "section[aria-labelledby=search]")
    rows = section.find_elements("css selector", "tbody tr")
    assert len(rows) == 32
    assert not any(row.is_displayed() for row in rows)
    section.find_element("tag name", "summary").click()
    assert all(row.is_displayed() for row in rows)
    excess = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(excess) == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_letters_and_lines_stand_out_from_the_paper(browser, pages, scheme):
    """The contrast that WCAG 2.1 asks for: 4.5 for letters, 3 for what is drawn."""
    browser.visit(pages / "report.html", width=1280, scheme=scheme)
    names = [*TEXT_COLOURS, *(f"--series-{number}" for number in range(8))]
    values = browser.run(f"{LUMINANCE} return {['--paper', '--panel', *names]}.map(luminance)")
    *papers, first, second, third, fourth = values[:6]
    for paper in papers:
        for letters in (first, second, third, fourth):
            assert contrast(paper, letters) >= 4.5
        for line in values[6:]:
            assert contrast(paper, line) >= 3


def contrast(first, second):
    lighter, darker = max(first, second), min(first, second)
    return (lighter + 0.05) / (darker + 0.05)


def test_it_opens_inside_the_page_of_kubeflow(browser, pages, tmp_path):
    """Kubeflow Pipelines shows HTML artifacts in a sandboxed iframe that holds the page itself."""
    report = html.escape((pages / "report.html").read_text())
    frame = f'<iframe sandbox="allow-scripts" width="800" height="600" srcdoc="{report}"></iframe>'
    (tmp_path / "kubeflow.html").write_text(f"<!DOCTYPE html><title>run</title>{frame}")
    visit = browser.visit(tmp_path / "kubeflow.html", width=1280)
    assert visit.messages == []
    assert [url for url in visit.requests if not url.startswith("about:srcdoc")] == [
        (tmp_path / "kubeflow.html").as_uri()
    ]
    browser.driver.switch_to.frame(0)
    assert "is the student good enough to ship?" in browser.driver.find_element("tag name", "h1").text
    assert all(
        chart.rect["width"] >= 300 for chart in browser.driver.find_elements("css selector", "figure svg")
    )
    assert browser.run("return document.documentElement.scrollWidth") <= 800


def test_wide_tables_scroll_by_themselves_and_by_keyboard(browser, pages):
    browser.visit(pages / "report.html", width=390)
    regions = browser.run(
        "return [...document.querySelectorAll('.scroll')].map("
        "each => [each.scrollWidth > each.clientWidth, each.tabIndex, each.getAttribute('aria-label')])"
    )
    assert any(scrolls for scrolls, _, _ in regions)
    assert all(tab_index == 0 and label for _, tab_index, label in regions)


def test_it_prints_dark_on_light_even_from_a_dark_screen(browser, pages):
    browser.visit(pages / "report.html", width=720)  # That of A4 without its margins.
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    ink, paper = browser.run(f"{LUMINANCE} return ['--ink', '--paper'].map(luminance)")
    assert contrast(ink, paper) > 10
    assert ink < paper
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("return document.documentElement.scrollWidth") <= 720
