"""Whether an engine can be reached: asked before anything runs, without importing Beam."""

import importlib.util
import os
import pathlib
import shutil
import socket
from typing import Any

import urllib3

from components.errors import InputError
from pipeline.beam.options import with_scheme
from pipeline.config.beam import BeamSettings, FlinkSettings, SparkSettings

# As in Beam's FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS.
FLINK_VERSIONS = ("1.19", "1.20", "2.0", "2.1", "2.2")
_SECONDS_TO_ANSWER = 5.0


def check_engine(settings: BeamSettings) -> None:
    """Checks that an engine is there, and that it can take the jobs.

    Raises:
      InputError: Nobody answers, somebody else does, or it cannot run what is asked of it.
    """
    match settings.engine:
        case "flink":
            if settings.flink.master:
                _check_cluster(settings.flink)
            _check_job_server(settings.flink, engine="flink")
        case "spark":
            _check_job_server(settings.spark, engine="spark")
        case "dataflow" if importlib.util.find_spec("apitools") is None:
            raise InputError(
                "beam.engine: dataflow needs Beam's client for Google Cloud; install it by pip install "
                "'apache-beam[gcp]==2.77.*'."
            )


def find_flink_version(master: str) -> str:
    """Asks a Flink cluster for its version, without the last number, such as `1.19`.

    Raises:
      InputError: Nobody answers, or no Flink of a version that Beam takes.
    """
    version = str(_ask(master, "/config").get("flink-version", ""))
    short = ".".join(version.split(".")[:2])
    if short not in FLINK_VERSIONS:
        raise InputError(
            f"beam.flink.master: {version or 'no Flink'} runs at {master}, but Beam takes Flink "
            f"{', '.join(FLINK_VERSIONS)}; use a cluster of one of these."
        )
    return short


def _check_cluster(flink: FlinkSettings) -> None:
    master = str(flink.master)
    find_flink_version(master)
    overview = _ask(master, "/overview")
    slots, parallelism = overview.get("slots-total", 0), flink.parallelism or 1
    if not overview.get("taskmanagers"):
        raise InputError(
            f"beam.flink.master: the cluster at {master} has no TaskManager, so that nothing would ever run; "
            "start one."
        )
    if parallelism > slots:
        raise InputError(
            f"beam.flink.parallelism: {parallelism} parts need as many slots, but the cluster at {master} "
            f"has {slots}; lower it, or start more TaskManagers."
        )


def _ask(master: str, path: str) -> dict[str, Any]:
    url = with_scheme(master) + path
    try:
        answer = urllib3.request("GET", url, timeout=_SECONDS_TO_ANSWER, retries=False)
    except urllib3.exceptions.HTTPError:
        raise InputError(
            f"beam.flink.master: nobody answers at {master}; start the cluster, or correct the address."
        ) from None
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.status != 200 or not isinstance(content, dict):
        raise InputError(
            f"beam.flink.master: what answers at {master} is no Flink cluster (status {answer.status}); give "
            "the address of its REST interface."
        )
    return content


def _check_job_server(settings: FlinkSettings | SparkSettings, *, engine: str) -> None:
    """Checks the one that is named, or what is needed to start one."""
    jar, key = settings.job_server_jar, f"beam.{engine}"
    if settings.job_server:
        _check_address(settings.job_server, key=f"{key}.job_server")
    elif shutil.which("java") is None:
        raise InputError(
            f"{key}.job_server: is not given, and to start one there is no java on PATH; install Java 17, or "
            "name a job server that runs."
        )
    elif jar and "://" not in jar and not (pathlib.Path(jar).is_file() and os.access(jar, os.R_OK)):
        raise InputError(f"{key}.job_server_jar: {jar} cannot be read; correct the path, or leave it out.")


def _check_address(address: str, *, key: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError:
        raise InputError(f"{key}: nobody answers at {address}; start it, or correct the address.") from None
