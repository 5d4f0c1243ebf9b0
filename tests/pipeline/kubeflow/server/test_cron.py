import datetime
import zoneinfo

import pytest

from components.errors import InputError
from pipeline.kubeflow.server.cron import describe_time, next_runs, parse_cron

NOW = datetime.datetime(2026, 11, 22, 5, 0, 30, tzinfo=datetime.UTC)  # A Sunday.


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("0 0 3 * * *", "0 0 3 * * *"),
        ("0 3 * * *", "0 0 3 * * *"),
        ("  30   4 1 * *  ", "0 30 4 1 * *"),
        ("*/15 * * * *", "0 */15 * * * *"),
        ("0 0 9 ? * MON-FRI", "0 0 9 * * 1-5"),
        ("0 0 3 1 jan,Jul *", "0 0 3 1 1,7 *"),
        ("0 0 3 * * 7", "0 0 3 * * 0"),
        ("0 0 3 * * 5-7", "0 0 3 * * 5,6,0"),
        ("0 0 3 * * 1-7/2", "0 0 3 * * 1,3,5,0"),
        ("0 0 3 * * 7/2", "0 0 3 * * 0"),
        ("0 0 3 * * 3/2", "0 0 3 * * 3-6/2"),
        ("5/20 8-18 * * *", "0 5-59/20 8-18 * * *"),
        ("0 00 03 * * *", "0 0 3 * * *"),
    ],
)
def test_five_and_six_fields_become_what_kubeflow_reads(given, normalised):
    assert parse_cron(given, now=NOW) == normalised


def test_normal_form_is_its_own_normal_form():
    for given in ("0 0 3 * * 5-7", "5/20 8-18 * * *", "0 0 9 ? * MON-FRI"):
        once = parse_cron(given, now=NOW)
        assert parse_cron(once, now=NOW) == once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "has 0 fields"),
        ("0 3 * *", "has 4 fields"),
        ("0 0 3 * * * 2027", "has 7 fields"),
        ("@daily", "has 1 fields"),
        ("60 0 3 * * *", "second '60' is not allowed; allowed: 0 to 59, *"),
        ("60 3 * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 3 0 * *", "day of the month '0' is not allowed; allowed: 1 to 31"),
        ("0 3 32 * *", "day of the month '32'"),
        ("0 3 L * *", "day of the month 'L'"),
        ("0 3 * 13 *", "month '13' is not allowed; allowed: 1 to 12 or JAN to DEC"),
        ("0 3 * * 8", "day of the week '8' is not allowed; allowed: 0 to 7 or SUN to SAT"),
        ("0 3 * * MONDAY", "day of the week 'MONDAY'"),
        ("0 3 * * MON#2", "day of the week 'MON#2'"),
        ("0 3 * JAN-13 *", "month 'JAN-13'"),
        ("0 22-2 * * *", "hour '22-2'"),
        ("0 3 * * FRI-MON", "day of the week 'FRI-MON'"),
        ("*/0 3 * * *", "minute '*/0'"),
        ("0-30/00 3 * * *", "minute '0-30/00'"),
        ("0 *-5 * * *", "hour '*-5'"),
        ("0 3, * * *", "hour ''"),
        ("-1 3 * * *", "minute '-1'"),
        ("0 3 30 2 *", "does not fall due within 5 years"),
        ("0 0 3 31 4,6,9,11 ?", "does not fall due within 5 years"),
        ("0 0 3 31 FEB */2", "does not fall due within 5 years"),
        ("0 0 3 29 2 */7", "does not fall due within 5 years"),
    ],
)
def test_impossible_expressions_are_refused_by_name(given, message):
    with pytest.raises(InputError) as refusal:
        parse_cron(given, now=NOW)
    assert str(refusal.value).startswith(f"--cron {given!r}: ")
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0 3 * * *", ["2026-11-23 03:00:00", "2026-11-24 03:00:00", "2026-11-25 03:00:00"]),
        ("0 1 5 * * *", ["2026-11-22 05:01:00", "2026-11-23 05:01:00", "2026-11-24 05:01:00"]),
        ("*/20 * * * * *", ["2026-11-22 05:00:40", "2026-11-22 05:01:00", "2026-11-22 05:01:20"]),
        ("0 3 29 2 *", ["2028-02-29 03:00:00", "2032-02-29 03:00:00", "2036-02-29 03:00:00"]),
        ("0 3 * * SUN", ["2026-11-29 03:00:00", "2026-12-06 03:00:00", "2026-12-13 03:00:00"]),
        ("0 3 * * 5-7", ["2026-11-27 03:00:00", "2026-11-28 03:00:00", "2026-11-29 03:00:00"]),
        # A day of the month or a day of the week, whichever comes first, as in every cron.
        ("0 3 24 * MON", ["2026-11-23 03:00:00", "2026-11-24 03:00:00", "2026-11-30 03:00:00"]),
        ("0 3 31 4 MON", ["2027-04-05 03:00:00", "2027-04-12 03:00:00", "2027-04-19 03:00:00"]),
    ],
)
def test_next_runs(given, expected):
    runs = next_runs(parse_cron(given, now=NOW), after=NOW, count=3)
    assert [f"{run:%Y-%m-%d %H:%M:%S}" for run in runs] == expected
    assert all(run.tzinfo is datetime.UTC for run in runs)


def test_next_runs_count_in_utc_whatever_the_zone_of_the_clock():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    expression = parse_cron("0 3 * * *", now=NOW)
    assert next_runs(expression, after=NOW.astimezone(berlin), count=3) == next_runs(
        expression, after=NOW, count=3
    )


def test_time_in_words():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    (run,) = next_runs("0 0 3 * * *", after=NOW, count=1)
    words = describe_time(run.astimezone(berlin), now=NOW)
    assert words == "Monday 23 November 2026, 04:00:00 CET, in 21 hours"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (30, "less than a minute"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (172800, "2 days"),
    ],
)
def test_wait_in_words(seconds, words):
    moment = NOW + datetime.timedelta(seconds=seconds)
    assert describe_time(moment, now=NOW).endswith(f" UTC, in {words}")
