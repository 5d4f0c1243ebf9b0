"""What an object store has of its own: its lease, and the ways in which it cannot be used."""

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from components.errors import InputError
from components.stores.bucket import Bucket

SECONDS = 0.3
HOLDING = """
import sys, signal
from components.stores.bucket import Bucket
with Bucket(sys.argv[1], lease_seconds=float(sys.argv[2])).locked():
    print("held", flush=True)
    signal.pause()
"""


def test_a_lease_passes_on_when_its_holder_is_killed(bucket: str) -> None:
    command = [sys.executable, "-c", HOLDING, bucket, str(SECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.wait()

    store = Bucket(bucket, lease_seconds=SECONDS)
    with store.locked():
        store.write("champion.json", b"mine")
    assert store.read("champion.json") == b"mine"


def test_a_holder_that_renews_its_lease_keeps_it(bucket: str) -> None:
    """It holds it until it has renewed it ten times, some three times as long as a lease lasts."""
    holder, other = (Bucket(bucket, lease_seconds=SECONDS) for _ in range(2))
    order = []

    def wait() -> None:
        with other.locked():
            order.append("other")

    waiting = threading.Thread(target=wait)
    with holder.locked():
        waiting.start()
        seen: set[bytes | None] = set()
        while len(seen) < 10:
            seen.add(holder.read(".lock"))
        order.append("holder")
    waiting.join()
    assert order == ["holder", "other"]


def test_who_has_lost_its_lease_writes_no_more(bucket: str) -> None:
    store = Bucket(bucket, lease_seconds=SECONDS)

    def write_for_ever() -> None:
        while True:
            store.write("champion.json", b"mine")

    with store.locked():
        Bucket(bucket).write(".lock", b"another's")
        with pytest.raises(InputError, match="lock on what ships was lost"):
            write_for_ever()
    assert Bucket(bucket).read(".lock") == b"another's"


class Forgetful(http.server.BaseHTTPRequestHandler):
    """Writes whatever the condition."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, s3: str) -> Iterator[None]:
    """A store of another kind in the place of the other."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


@pytest.mark.parametrize("server", [Forgetful], indirect=True)
@pytest.mark.usefixtures("server")
def test_a_store_that_ignores_conditions_is_refused() -> None:
    with (
        pytest.raises(InputError, match="ignores the condition If-None-Match"),
        Bucket("minio://bucket/students").locked(),
    ):
        pass


class Faltering(http.server.BaseHTTPRequestHandler):
    """Writes an object that is not there yet, but answers at first that it could not."""

    content = b""

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        status = 412 if Faltering.content else 503
        Faltering.content = Faltering.content or content
        self._answer(status)

    def do_GET(self) -> None:
        self._answer(200 if Faltering.content else 404, Faltering.content)

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 26 Nov 2026 11:00:00 GMT")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("server", [Faltering], indirect=True)
@pytest.mark.usefixtures("server")
def test_a_line_is_not_written_twice_where_only_the_answer_was_lost() -> None:
    store = Bucket("minio://bucket/students")
    store.append("history.jsonl", "a line")
    assert store.read("history.jsonl") == b"a line\n"


def test_a_bucket_that_is_not_there_is_named(s3: str) -> None:
    store = Bucket("minio://nowhere/students")
    with (
        pytest.raises(InputError, match=r"^minio://nowhere/students cannot be used \(.*; see to it that"),
        store.locked(),
    ):
        pass
    with pytest.raises(InputError, match=r"^minio://nowhere/students cannot be used"):
        store.names()


def test_credentials_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(InputError, match=r"^gs://bucket/students cannot be used \(.*/nowhere.json"):
        Bucket("gs://bucket/students")


def test_a_store_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match=r"^'ftp://host/students' is in no store that is known; give"):
        Bucket("ftp://host/students")
