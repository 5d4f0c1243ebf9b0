import pytest

from components.errors import InputError
from pipeline.kubeflow.server.assignments import parse_parameters

DECLARED = {"epochs": "NUMBER_INTEGER", "temperature": "NUMBER_DOUBLE", "date": "STRING"}


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("epochs=5", 5),
        ("temperature=3", 3),
        ("temperature=2.5e0", 2.5),
        ("date=2026-11-22", "2026-11-22"),
        ("date=[[ScheduledTime.2006-01-02]]", "[[ScheduledTime.2006-01-02]]"),
        ("date=7", "7"),
        ("date=a=b", "a=b"),
        ("date=", ""),
    ],
)
def test_values_take_the_declared_type(assignment, value):
    (parsed,) = parse_parameters([assignment], declared=DECLARED).values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["epochs"], "--param 'epochs': expected NAME=VALUE"),
        (["=3"], "--param '=3': expected NAME=VALUE"),
        (
            ["epoch=3"],
            "--param epoch: is unknown; allowed: epochs, temperature, date; did you mean 'epochs'?",
        ),
        (["epochs=3", "epochs=4"], "--param epochs: is given twice; keep one of them"),
        (["epochs=3.5"], "--param epochs: got '3.5'; expected a whole number"),
        (["epochs=many"], "--param epochs: got 'many'; expected a whole number"),
        (["epochs=true"], "--param epochs: got 'true'; expected a whole number"),
        (["temperature=true"], "--param temperature: got 'true'; expected a number"),
        (["temperature=NaN"], "--param temperature: got 'NaN'; expected a number"),
        (["temperature=1e999"], "--param temperature: got '1e999'; expected a number"),
        (["temperature="], "--param temperature: got ''; expected a number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(assignments, message):
    with pytest.raises(InputError) as refusal:
        parse_parameters(assignments, declared=DECLARED)
    assert str(refusal.value) == message


def test_none_given():
    assert parse_parameters([], declared=DECLARED) == {}
