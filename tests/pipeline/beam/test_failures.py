"""What is told of an engine that fails, by what Flink and Beam's job server said when a part was killed."""

import grpc
import pytest

from components.errors import InputError, LostEngineError
from pipeline.beam.failures import explain
from pipeline.local.background import NodeError

_FAILED = "Pipeline BeamApp-1_2 failed in state FAILED: "


@pytest.mark.parametrize(
    ("said", "part"),
    [
        (
            "java.net.ConnectException: java.net.ConnectException: finishConnect(..) failed: "
            "Connection refused",
            "its Python workers",
        ),
        (
            "org.apache.beam.vendor.grpc.v1p69p0.io.grpc.StatusRuntimeException: CANCELLED: client cancelled",
            "its Python workers",
        ),
        ("java.io.IOException: error=2, No such file or directory", "its Python workers"),
        ("java.lang.IllegalStateException: Process died with exit code 1", "its Python workers"),
        ("java.net.ConnectException: Connection refused", "its JobManager"),
        (
            "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: "
            "Slot request bulk is not fulfillable!",
            "its TaskManagers",
        ),
        ("java.util.concurrent.TimeoutException: Timeout has occurred: 10000 ms", "its TaskManagers"),
        (
            "org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException: Connection "
            "unexpectedly closed by remote task manager '127.0.0.1/127.0.0.1:43001'.",
            "its TaskManagers",
        ),
    ],
)
def test_the_part_that_was_lost_is_named_in_one_sentence(said, part):
    told = explain(RuntimeError(_FAILED + said), engine="flink")

    assert isinstance(told, LostEngineError)
    assert str(told).startswith(f"beam: flink lost {part} in the middle of a job (")
    assert str(told).endswith("run the same command again: what was complete comes from the cache.")
    assert "Exception" not in str(told)


def test_what_else_ends_a_job_is_told_in_the_engines_words():
    said = (
        "java.io.IOException: Insufficient number of network buffers: required 512, but only 455 available."
    )
    told = explain(RuntimeError(_FAILED + said), engine="flink")

    assert str(told).startswith("beam: flink failed in the middle of a job (Insufficient number of network")


def test_a_broken_connection_is_that_to_the_job_server():
    error = RuntimeError("Stream removed")
    error.__cause__ = grpc.RpcError()

    assert str(explain(error, engine="flink")).startswith("beam: flink lost its job server ")


def test_what_the_users_data_is_blamed_for_in_a_worker_is_told_as_if_it_ran_here():
    said = (
        "Error received from SDK harness for instruction 4: Traceback (most recent call last):\n"
        '  File "x.py", line 1, in f\n'
        "components.errors.InputError: data.path: a.png is no image. [while running 'Map(f)']\n"
    )
    told = explain(RuntimeError(_FAILED + said), engine="flink")
    assert str(told) == "data.path: a.png is no image."


@pytest.mark.parametrize("engine", ["direct", "flink"])
def test_what_the_users_data_is_blamed_for_stays_as_it_is(engine):
    error = InputError("data.path: a.png is no image.")
    assert explain(error, engine=engine) is error


def test_a_fault_of_ours_stays_one():
    said = (
        "Error received from SDK harness for instruction 4: Traceback (most recent call last):\nKeyError: 1"
    )
    assert explain(RuntimeError(_FAILED + said), engine="flink") is None
    assert explain(KeyError("a"), engine="flink") is None
    assert explain(grpc.RpcError(), engine="direct") is None
    assert explain(NodeError(node="Trainer"), engine="spark") is None


def test_what_the_users_data_is_blamed_for_in_another_process_of_this_machine_is_told_too():
    said = "components.errors.InputError: data.path: a.png is no image. [while running 'Map(f)']"
    assert (
        str(explain(RuntimeError(f"Traceback:\n{said}"), engine="direct")) == "data.path: a.png is no image."
    )


def test_a_job_that_fails_without_a_word():
    told = explain(RuntimeError(_FAILED), engine="flink")
    assert str(told).startswith("beam: flink failed in the middle of a job (")


def test_of_a_mistake_nothing_is_told_but_its_sentence() -> None:
    """Beam adds where an exception was raised to what it says."""
    sentence = "The disk is full (12 of it left [see df]); make room and run again."
    error = LostEngineError(f"{sentence} [while running 'Write/Map(write_shard)-ptransform-7']")
    told = explain(error, engine="direct")
    assert isinstance(told, LostEngineError)
    assert str(told) == sentence
    assert str(explain(InputError(sentence), engine="flink")) == sentence
