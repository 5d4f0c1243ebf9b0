import pathlib
import sys
from collections.abc import Iterator

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))  # For the stub and its schema.

from kfp_stub import Stub

from pipeline.kubeflow.server.connection import Patience, Server, connect
from pipeline.kubeflow.server.credentials import Credentials


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.stop()


@pytest.fixture
def pauses() -> list[float]:
    """How long the client meant to sleep, in seconds."""
    return []


@pytest.fixture
def patience(pauses: list[float]) -> Patience:
    return Patience(connection=20, answer=20, sleep=pauses.append)


@pytest.fixture
def server(stub: Stub, patience: Patience) -> Server:
    return connect(stub.url, credentials=Credentials(), patience=patience)


@pytest.fixture
def hasty(stub: Stub, pauses: list[float]) -> Server:
    """Waits for no answer longer than two seconds."""
    patience = Patience(answer=2, pauses=(1, 1), sleep=pauses.append)
    return connect(stub.url, credentials=Credentials(), patience=patience)
