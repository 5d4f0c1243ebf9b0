from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from components.settings.base import PositiveInt, Settings, custom_error
from components.settings.explaining import explain


class Circle(Settings):
    kind: Literal["circle"]
    radius: PositiveInt


class Square(Settings):
    kind: Literal["square"]
    side: PositiveInt


class Drawing(Settings):
    title: str = ""
    shapes: Annotated[
        tuple[Annotated[Circle | Square, Field(discriminator="kind")], ...], Field(strict=False)
    ] = ()
    frame: Annotated[Circle | Square, Field(discriminator="kind")] | None = None
    weights: dict[str, PositiveInt] = {}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"title": 3}, "title: got 3; must be a valid string"),
        (
            {"titel": "x"},
            "unknown key 'titel'; allowed: title, shapes, frame, weights; did you mean 'title'?",
        ),
        ({"frame": {"kind": "circle", "radius": 0}}, "frame.radius: got 0; must be greater than 0"),
        ({"frame": {"kind": "circle"}}, "frame.radius: is missing; add it"),
        ({"frame": {"kind": "circle", "side": 1}}, "frame: unknown key 'side'; allowed: kind, radius"),
        ({"frame": {"kind": "line"}}, "frame.kind: got 'line'; allowed: circle, square"),
        ({"frame": {"side": 1}}, "frame.kind: is missing; add it"),
        ({"frame": 7}, "frame: got 7; must be a mapping of keys to values"),
        (
            {"shapes": [{"kind": "square", "side": 1}, {"kind": "square"}]},
            "shapes.1.side: is missing; add it",
        ),
        ({"weights": {"circle": 1, "square": 0}}, "weights.square: got 0; must be greater than 0"),
    ],
)
def test_a_problem_is_a_line_with_its_key_and_without_the_tags_of_unions(given: dict, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(given)
    assert explain(caught.value, given=given) == [line]


def test_each_problem_has_a_line_and_the_tags_stay_where_nothing_is_known_of_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate_json('{"title": 1, "frame": {"kind": "circle", "radius": -1}}')
    assert explain(caught.value) == [
        "title: got 1; must be a valid string",
        "frame.circle.radius: got -1; must be greater than 0",
    ]


def test_an_error_of_our_own_keeps_its_words() -> None:
    assert custom_error("must be {odd}").message() == "must be {odd}"
