import re

import pytest

from components.errors import InputError
from components.example_gen.dated import is_dated, newest


@pytest.fixture
def photos(tmp_path):
    for name in ("2026-01-31", "2026-02-03", "2026-02-30", "2025-12-31", "2026-1-9", "2026-03-01.partial"):
        (tmp_path / "photos" / name / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "2026-04-01").write_text("no folder")
    return tmp_path / "photos"


def test_the_latest_day_of_the_calendar_counts(photos):
    assert newest(f"{photos}/{{YYYY}}-{{MM}}-{{DD}}") == photos / "2026-02-03"


def test_a_date_may_be_spread_over_folders_and_stand_amid_a_path(tmp_path):
    for day in ("2026/02/day-28", "2026/11/day-03", "2027/01/note"):
        (tmp_path / "a" / day / "images").mkdir(parents=True)
    assert newest(f"{tmp_path}/a/{{YYYY}}/{{MM}}/day-{{DD}}/images") == tmp_path / "a/2026/11/day-03/images"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("photos/{YYYY}-{MM}", "holds each of {YYYY}, {MM}, {DD} once"),
        ("photos/{YYYY}-{MM}-{DD}/{DD}", "holds each of {YYYY}, {MM}, {DD} once"),
        ("nowhere/{YYYY}-{MM}-{DD}", "there is no folder of such a name"),
    ],
)
def test_what_means_no_folder_is_refused(path, message):
    with pytest.raises(InputError, match=re.escape(message)):
        newest(path)


def test_other_paths_hold_no_date():
    assert is_dated("photos/{YYYY}")
    assert not is_dated("photos/2026-01-31")
