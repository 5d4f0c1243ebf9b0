import abc
import importlib
import pathlib
from typing import Annotated

import pytest
from pydantic import TypeAdapter

from components.settings.base import Settings
from components.settings.discovery import find_kinds, one_of


class Shape(Settings, abc.ABC):
    @property
    @abc.abstractmethod
    def area(self) -> int: ...


CIRCLE = """
from typing import Literal
from components.settings.base import Settings
from {here} import Shape

class Circle(Shape):
    kind: Literal["circle"] = "circle"
    radius: int
    @property
    def area(self): return 3 * self.radius**2

class Pen(Settings):
    colour: str
"""
SQUARE = """
from typing import Literal
from {here} import Shape
from shapes.circle import Circle

class Angular(Shape):
    pass

class Square(Angular):
    kind: Literal["square"] = "square"
    side: int
    @property
    def area(self): return self.side**2
"""


def test_the_modules_of_a_package_are_kinds_without_being_listed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "__init__.py").touch()
    (tmp_path / "shapes" / "circle.py").write_text(CIRCLE.format(here=__name__))
    (tmp_path / "shapes" / "square.py").write_text(SQUARE.format(here=__name__))
    monkeypatch.syspath_prepend(tmp_path)

    kinds = find_kinds(importlib.import_module("shapes"), base=Shape)

    assert [kind.__name__ for kind in kinds] == ["Circle", "Square"]
    read = TypeAdapter(Annotated[Shape, one_of(kinds, discriminator="kind")]).validate_python
    assert read({"kind": "square", "side": 3}).area == 9
    assert read({"kind": "circle", "radius": 2}).area == 12
