"""The command line, called in the process of the tests."""

import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cli.main import main

REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture
def distill(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Calls a command in a directory, without a process of its own, which takes a second to start.

    That the program does the same is shown in `tests/pipeline/cli/test_main.py`.
    """

    def call(
        *arguments: object, directory: pathlib.Path = REPOSITORY, environment: dict[str, Any] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        command = ["distill", *map(str, arguments)]
        with monkeypatch.context() as patch:
            patch.chdir(directory)
            patch.setattr(sys, "argv", command)
            patch.setattr(sys, "path", list(sys.path))
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            capfd.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
        return subprocess.CompletedProcess(command, end.value.code or 0, *capfd.readouterr())

    return call
