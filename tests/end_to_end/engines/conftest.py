import pathlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # For the command line.


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Flink cluster of two TaskManagers; see CONTRIBUTING.md for what it needs."""
    from cluster import find_missing, running_cluster

    yield from _running(running_cluster, tmp_path_factory.mktemp("flink"), missing=find_missing())


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Prism; see CONTRIBUTING.md for what it needs."""
    from prism import find_missing, running_prism

    yield from _running(running_prism, tmp_path_factory.mktemp("prism"), missing=find_missing())


def _running(
    run: Callable[[pathlib.Path], AbstractContextManager[Any]],
    directory: pathlib.Path,
    *,
    missing: str | None,
) -> Iterator[Any]:
    if missing:
        pytest.skip(missing)
    with run(directory) as running:
        yield running


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workspace of a run of the digits without an engine beside Beam's own."""
    from command_line import run
    from digits import QUICK

    workspace = tmp_path_factory.mktemp("alone")
    run("digits.yaml", workspace, *QUICK)
    return workspace
