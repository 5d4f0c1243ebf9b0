import pathlib
import re

import pytest

from components.errors import InputError
from components.example_gen.spans.pattern import find_problem, holds_span, list_spans, to_position


@pytest.fixture
def make_folders(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / "photos" / name).mkdir(parents=True)
        return tmp_path / "photos"

    return make


def folders(path):
    """The folder of each span that a path means, relative to the working directory or absolute as given."""
    return {span.name: span.folder for span in list_spans(str(path)).values()}


def test_dated_folders_are_listed_by_the_calendar(make_folders):
    photos = make_folders(
        "2026-01-31", "2026-02-03", "2026-02-30", "2025-12-31", "2026-1-9", "2026-03-01.partial"
    )
    (photos / "2026-04-01").write_text("no folder")
    days = ("2025-12-31", "2026-01-31", "2026-02-03")
    assert list(folders(photos / "{YYYY}-{MM}-{DD}").items()) == [(day, photos / day) for day in days]


def test_a_date_may_be_spread_over_folders_and_stand_amid_a_path(make_folders):
    photos = make_folders("2026/02/day-28/images", "2026/11/day-03/images", "2027/01/note/images")
    found = folders(photos / "{YYYY}" / "{MM}" / "day-{DD}" / "images")
    assert found == {
        "2026-02-28": photos / "2026/02/day-28/images",
        "2026-11-03": photos / "2026/11/day-03/images",
    }


def test_numbered_folders_are_listed_by_their_value(make_folders):
    photos = make_folders("span-9", "span-010", "span-2", "span-", "span-3b", "other-4")
    assert list(folders(photos / "span-{SPAN}")) == ["2", "9", "10"]


def test_the_newest_version_of_a_span_counts_and_the_others_are_known(make_folders):
    photos = make_folders("7/v2", "7/v10", "7/v1", "8/v1", "9/draft")
    seven, eight = list_spans(f"{photos}/{{SPAN}}/v{{VERSION}}").values()
    assert (seven.name, seven.version, seven.folder) == ("7", 10, photos / "7/v10")
    assert list(seven.versions) == [1, 2, 10]
    assert (eight.name, eight.version) == ("8", 1)
    assert [str(seven), str(eight)] == ["7 (version 10)", "8 (version 1)"]
    (plain,) = list_spans(f"{photos}/{{SPAN}}/draft").values()
    assert (str(plain), plain.version) == ("9", None)


def test_two_folders_of_one_span_are_refused(make_folders):
    photos = make_folders("7", "07")
    message = f"'{photos}/07' and '{photos}/7' are both span 7; rename or remove one of them."
    with pytest.raises(InputError, match=re.escape(message)):
        list_spans(f"{photos}/{{SPAN}}")


@pytest.mark.parametrize(
    ("path", "is_right"),
    [
        ("photos/{SPAN}", True),
        ("photos/{YYYY}-{MM}-{DD}", True),
        ("photos/{YYYY}{MM}{DD}/{VERSION}", True),
        ("photos/{YYYY}-{MM}", False),
        ("photos/{YYYY}-{MM}-{DD}/{DD}", False),
        ("photos/{SPAN}/{YYYY}-{MM}-{DD}", False),
        ("photos/{SPAN}/{SPAN}", False),
        ("photos/{VERSION}", False),
        ("photos/{SPAN}/{VERSION}/{VERSION}", False),
    ],
)
def test_the_placeholders_are_a_number_or_a_date_and_maybe_a_version(path, is_right):
    assert holds_span(path)
    assert (find_problem(path) is None) == is_right


def test_other_paths_hold_no_span():
    assert not holds_span("photos/2026-01-31")


@pytest.mark.parametrize("name", ["2026-11-31", "yesterday", "7", "[[ScheduledTime.2006-01-02]]"])
def test_the_name_of_a_dated_span_is_a_day(name):
    with pytest.raises(ValueError, match=r"^must be a date such as 2026-11-22"):
        to_position("photos/{YYYY}-{MM}-{DD}", name)


@pytest.mark.parametrize("name", ["2026-11-22", "-7", "7.5", "", "[[Index]]"])
def test_the_name_of_a_numbered_span_is_a_number(name):
    with pytest.raises(ValueError, match=r"^must be a whole number"):
        to_position("photos/{SPAN}", name)
    assert to_position("photos/{SPAN}", "007") == 7


def test_spans_in_the_working_directory(make_folders, monkeypatch):
    photos = make_folders("day-7")
    monkeypatch.chdir(photos)
    for pattern in ("day-{SPAN}", "./day-{SPAN}"):
        (folder,) = folders(pattern).values()
        assert folder == pathlib.Path("day-7")
        assert folder.is_dir()
