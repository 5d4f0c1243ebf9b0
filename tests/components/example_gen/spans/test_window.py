import re

import pytest

from components.errors import InputError, MissingSpanError
from components.example_gen.spans.window import WindowChoice


@pytest.fixture
def photos(make_folder):
    """Makes folders with an image each."""

    def make(*names):
        return make_folder({f"{name}/cat/0.png": b"-" for name in names})

    return make


def find(path, **choice):
    """The names of the spans in a window, and what is missing."""
    window = WindowChoice(str(path), **choice).find()
    return [span.name for span in window.spans], list(window.missing)


def test_a_window_is_the_newest_span_unless_told_otherwise(photos):
    root = photos("8", "9", "10")
    assert find(root / "{SPAN}") == (["10"], [])
    assert find(root / "{SPAN}", last="9") == (["9"], [])


def test_the_newest_span_has_a_name_also_where_it_holds_nothing(photos, tmp_path):
    root = photos("8", "009")
    (root / "010").mkdir()
    path = str(root / "{SPAN}")
    assert WindowChoice(path).newest() == "10"
    assert WindowChoice(path, last="8").newest() == "8"
    named = WindowChoice(path, size=3, on_missing="skip", last="10").find()
    assert named == WindowChoice(path, size=3, on_missing="skip").find()
    assert list(named.missing) == ["span 10 holds no " + named.missing[0].partition("holds no ")[2]]
    with pytest.raises(MissingSpanError, match="there is no folder of such a name; add one"):
        WindowChoice(str(tmp_path / "none/{SPAN}")).newest()


def test_a_window_is_the_last_spans_up_to_the_one_that_is_asked_for(photos):
    root = photos("8", "9", "10", "11")
    assert find(root / "{SPAN}", size=3) == (["9", "10", "11"], [])
    assert find(root / "{SPAN}", size=3, last="10") == (["8", "9", "10"], [])


def test_a_window_begins_with_the_oldest_span_at_the_earliest(photos):
    assert find(photos("8", "9") / "{SPAN}", size=7) == (["8", "9"], [])


def test_days_between_dates_are_not_missed(photos):
    root = photos("2026-11-01", "2026-11-08", "2026-11-22")
    assert find(root / "{YYYY}-{MM}-{DD}", size=2) == (["2026-11-08", "2026-11-22"], [])


def test_a_number_amid_the_window_is_missed(photos):
    root = photos("6", "7", "9")
    with pytest.raises(MissingSpanError) as caught:
        find(root / "{SPAN}", size=3)
    assert str(caught.value) == (
        f"data.path: got '{root}/{{SPAN}}', but span 8 is missing; add images, or set "
        "data.on_missing_span: skip to go on with the other spans of the window."
    )
    assert isinstance(caught.value, InputError)
    assert find(root / "{SPAN}", size=3, on_missing="skip") == (["7", "9"], ["span 8 is missing"])
    assert find(root / "{SPAN}", size=1) == (["9"], [])


@pytest.mark.parametrize(
    ("names", "path", "late"),
    [
        (("7", "8"), "{SPAN}", "9"),
        (("2026-11-08", "2026-11-15"), "{YYYY}-{MM}-{DD}", "2026-11-22"),
    ],
)
def test_a_span_that_is_late_is_no_older_one(photos, names, path, late):
    root = photos(*names)
    with pytest.raises(
        MissingSpanError, match=f"span {late} is missing; add images, or name another as data.span"
    ):
        find(root / path, last=late)
    with pytest.raises(MissingSpanError, match=f"span {late} is missing"):
        find(root / path, last=late, on_missing="skip")
    assert find(root / path, last=late, size=3, on_missing="skip") == (
        list(names),
        [f"span {late} is missing"],
    )
    assert find(root / path, last=late, size=2, on_missing="skip") == (
        [names[1]],
        [f"span {late} is missing"],
    )


def test_a_span_without_an_image_is_missing_and_none_stands_in_for_it(make_folder):
    root = make_folder(
        {"7/v1/cat/0.png": b"-", "8/v1/cat/0.png": b"-", "8/v2/cat/notes.txt": b"-", "8/v2/1.png": b"-"}
    )
    path = root / "{SPAN}" / "v{VERSION}"
    problem = "span 8 holds no .jpg, .jpeg or .png file in a class folder"
    with pytest.raises(MissingSpanError, match=re.escape(f"{problem}; add images, or name another")):
        find(path)
    assert find(path, size=2, on_missing="skip") == (["7"], [problem])


def test_files_that_came_empty_are_no_images(make_folder):
    root = make_folder({"7/cat/0.png": b"", "7/cat/1.png": b""})
    (root / "7/cat/2.png").symlink_to(root / "nowhere.png")
    with pytest.raises(MissingSpanError, match="span 7 holds no"):
        find(root / "{SPAN}")
    (root / "7/cat/1.png").write_bytes(b"-")
    assert find(root / "{SPAN}") == (["7"], [])


def test_a_path_that_means_no_folder_is_refused(tmp_path):
    with pytest.raises(MissingSpanError, match="there is no folder of such a name; add one"):
        find(tmp_path / "{SPAN}")
    with pytest.raises(MissingSpanError, match="span 3 is missing"):
        find(tmp_path / "{SPAN}", last="3")
