import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

DISTILL = pathlib.Path(sys.executable).with_name("distill")


@pytest.fixture
def distill() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the command line in a directory, on a wide screen."""

    def run(*arguments: object, directory: pathlib.Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(DISTILL), *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=directory,
            check=False,
            timeout=60,
            env=os.environ | {"BROWSER": "true", "COLUMNS": "200"},
        )

    return run
