import pathlib
import subprocess
import sys
import typing

import pydantic
import pytest

from components.distiller import methods
from components.distiller.methods.kd import Kd
from components.distiller.registry import METHODS, DistillationSettings

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"
HEAVY = ("tensorflow", "keras", "tfx", "apache_beam")
ANOTHER = '''
from typing import Any, Literal

from components.distiller.methods.base import Method


class Another(Method):
    """A method whose distance is a number."""

    needs_labels = True

    method: Literal["another"]
    number: float = 1.0

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        return 0 * logits[:, 0] + self.number
'''


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_module_of_the_folder_is_a_method_of_its_name() -> None:
    modules = {path.stem for path in pathlib.Path(methods.__path__[0]).glob("*.py")}

    assert set(METHODS) == modules - {"__init__", "base"}
    for name, method in METHODS.items():
        assert typing.get_args(method.model_fields["method"].annotation) == (name,)


def test_settings_are_read_as_the_method_that_they_name() -> None:
    adapter = pydantic.TypeAdapter(DistillationSettings)

    read = adapter.validate_python({"name": "hot", "method": "kd", "temperature": 20.0})

    assert read == Kd(name="hot", method="kd", temperature=20.0)
    assert adapter.validate_json(adapter.dump_json(read)) == read
    with pytest.raises(pydantic.ValidationError, match="'dist', 'dkd', 'hint', 'kd', 'logits_mse'"):
        adapter.validate_python({"name": "hot", "method": "magic"})


def test_a_module_in_the_folder_is_all_that_a_new_method_takes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "another.py").write_text(ANOTHER)

    found = run(
        "import pathlib\n"
        "from components.distiller import methods\n"
        f"methods.__path__.append({str(tmp_path)!r})\n"
        "from pipeline.config.loading import load_config\n"
        "another = 'distillations=[{name: a, method: another, number: 3}]'\n"
        "overrides = [another, 'data.labelled_fraction=1']\n"
        f"config = load_config(pathlib.Path({str(DIGITS)!r}), overrides=overrides)\n"
        "(search,) = config.distillations\n"
        "method = search.base\n"
        "print(type(method).__name__, method.number, config.asks_teacher(method))"
    )

    assert found == "Another 3.0 False"


def test_settings_are_checked_without_keras() -> None:
    found = run(
        "import sys\n"
        "from pydantic import TypeAdapter\n"
        "from components.distiller.registry import METHODS, DistillationSettings\n"
        "for method in METHODS:\n"
        "    layers = {'teacher_layer': 'a', 'student_layer': 'b'} if method == 'hint' else {}\n"
        "    settings = {'name': 'student', 'method': method, **layers}\n"
        "    TypeAdapter(DistillationSettings).validate_python(settings)\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )

    assert found == ""
