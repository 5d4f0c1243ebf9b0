import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))
sys.path.append(str(pathlib.Path(__file__).parents[1]))  # For the command line.


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Flink cluster of two TaskManagers; see CONTRIBUTING.md for what it needs."""
    from cluster import find_missing, running_cluster

    missing = find_missing()
    if missing:
        pytest.skip(missing)
    with running_cluster(tmp_path_factory.mktemp("flink")) as running:
        yield running


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Prism; see CONTRIBUTING.md for what it needs."""
    from prism import find_missing, running_prism

    missing = find_missing()
    if missing:
        pytest.skip(missing)
    with running_prism(tmp_path_factory.mktemp("prism")) as running:
        yield running


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workspace of a run of the digits without an engine beside Beam's own."""
    from command_line import run
    from digits import QUICK

    workspace = tmp_path_factory.mktemp("alone")
    run("digits.yaml", workspace, *QUICK)
    return workspace
