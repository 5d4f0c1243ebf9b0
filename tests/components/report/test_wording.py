import pytest

from components.report.wording import (
    amount,
    difference,
    duration,
    file_size,
    in_unit,
    percent,
    ratio,
    signed,
    telling_decimals,
)


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
    assert plain(percent(-0.00001, decimals=2)) == "0.00 %"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (56_789, "56.79 kB"),
        (4_150_000, "4.15 MB"),
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


@pytest.mark.parametrize(
    ("number", "decimals", "expected"),
    [(0.03, 2, "+0.03"), (-0.03, 2, "−0.03"), (-0.0004, 2, "0.00"), (0.0, 1, "0.0")],  # noqa: RUF001
)
def test_signed(number, decimals, expected):
    assert signed(number, decimals=decimals) == expected


def test_a_difference_in_accuracy_is_in_points_and_any_other_as_it_is():
    assert difference(-0.0123, metric="accuracy") == "−1.23"  # noqa: RUF001
    assert difference(-0.0123, metric="cross_entropy") == "−0.0123"  # noqa: RUF001


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        (-0.02, "share", "−2.00 %"),  # noqa: RUF001
        (0.0004, "probability", "< 0.001"),
        (0.05, "probability", "0.050"),
        (1_000_000.0, "bytes", "1.00 MB"),
        (12.34, "milliseconds", "12.3 ms"),
        (0.43, "ratio", "0.43"),
        (0.18449, "nats", "0.1845"),
    ],
)
def test_measured_in_the_unit_of_the_gate(number, unit, expected):
    assert plain(in_unit(number, unit=unit)) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(7, "7"), (999, "999"), (1_234, "1.23 k"), (1.2e6, "1.20 M"), (4.1e9, "4.10 G")]
)
def test_amount(number, expected):
    assert plain(amount(number)) == expected


@pytest.mark.parametrize(
    ("larger", "smaller", "expected"),
    [(40, 1, "40 ×"), (85, 10, "8.5 ×"), (1, 2, "0.5 ×"), (12_345, 1, "12,345 ×")],  # noqa: RUF001
)
def test_ratio(larger, smaller, expected):
    assert plain(ratio(larger, smaller)) == expected
