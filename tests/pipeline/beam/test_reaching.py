"""What is seen of an engine before anything runs. A real cluster is asked in tests/end_to_end/engines."""

import http.server
import pathlib
import socket
import threading

import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions

from components.errors import InputError
from pipeline.beam.reaching import FLINK_VERSIONS, check_engine
from pipeline.config.loading import load_config

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


def check(section: str) -> None:
    check_engine(load_config(DIGITS, overrides=[f"beam={section}"]).beam)


@pytest.fixture
def nobody() -> str:
    """An address at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound, and never listening.
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def somebody() -> str:
    """The address of a web server that is no Flink."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_versions_of_flink_are_those_that_beam_takes():
    assert list(FLINK_VERSIONS) == FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS


def test_beam_on_this_machine_needs_nothing():
    check("{}")


def test_a_cluster_at_which_nobody_answers(nobody):
    with pytest.raises(
        InputError, match=rf"beam.flink.master: nobody answers at {nobody}; start the cluster"
    ):
        check(f"{{engine: flink, flink: {{master: '{nobody}'}}}}")


def test_a_server_that_is_no_cluster(somebody):
    with pytest.raises(InputError, match=rf"answers at {somebody} is no Flink cluster \(status 404\)"):
        check(f"{{engine: flink, flink: {{master: '{somebody}'}}}}")


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_a_job_server_that_is_missing(engine, nobody):
    with pytest.raises(InputError, match=rf"beam.{engine}.job_server: nobody answers at {nobody}"):
        check(f"{{engine: {engine}, {engine}: {{job_server: '{nobody}'}}}}")


def test_a_job_server_that_is_there(somebody):
    check(f"{{engine: spark, spark: {{job_server: '{somebody}'}}}}")


def test_a_job_server_cannot_be_started_without_java(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"beam.spark.job_server: is not given, .* there is no java on PATH"):
        check("{engine: spark, spark: {master: 'spark://spark:7077'}}")


def test_a_job_server_that_cannot_be_read(monkeypatch, tmp_path):
    java = tmp_path / "java"
    java.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"beam.spark.job_server_jar: missing.jar cannot be read"):
        check("{engine: spark, spark: {master: 'spark://spark:7077', job_server_jar: missing.jar}}")
