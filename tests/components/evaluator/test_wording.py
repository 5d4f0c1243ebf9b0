import pytest

from components.evaluator.wording import duration, file_size, percent, telling_decimals


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("shares", "decimals"),
    [([0.5, 0.9], 1), ([0.9751, 0.9749], 2), ([0.5, 0.5], 1), ([0.5, 0.5000001], 4)],
)
def test_as_many_decimals_as_tell_numbers_apart(shares, decimals):
    assert telling_decimals(shares) == decimals


def test_percent():
    assert plain(percent(0.97456, decimals=2)) == "97.46 %"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (56_789, "56.8 kB"),
        (999_999, "1.00 MB"),
        (4_200_000_000, "4.20 GB"),
    ],
)
def test_file_size(size, text):
    assert plain(file_size(size)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.21, "3.2 s"),
        (59.97, "1 min 00 s"),
        (75.3, "1 min 15 s"),
        (3599.9, "1 h 00 min"),
        (7261, "2 h 01 min"),
    ],
)
def test_duration(seconds, text):
    assert plain(duration(seconds)) == text
