"""Models that are files of any content: for what is pushed, and where."""

import pathlib
from collections.abc import Callable

import pytest

Model = Callable[[str], pathlib.Path]


@pytest.fixture
def model(tmp_path: pathlib.Path) -> Model:
    """Writes a SavedModel's directory, whose file says who it is."""

    def write(name: str) -> pathlib.Path:
        directory = tmp_path / "models" / name
        (directory / "variables").mkdir(parents=True, exist_ok=True)
        (directory / "saved_model.pb").write_text(name)
        (directory / "variables" / "variables.data").write_bytes(bytes(200_000))
        return directory

    return write
