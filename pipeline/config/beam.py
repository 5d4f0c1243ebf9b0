"""The `beam` section of the configuration: on which engine the nodes run that use Beam, and how to reach it.

It changes no result, and is no part of what decides the cache.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.errors import InputError
from components.settings.base import PositiveInt, Settings, custom_error

Engine = Literal["direct", "flink", "spark", "dataflow"]

_ADDRESS = re.compile(r"[^\s:/]+:(?P<port>[0-9]{1,5})")
_MASTER = re.compile(r"(?P<scheme>https?://)?[^\s:/]+(:[0-9]{1,5})?(/\S*)?")
_HIGHEST_PORT = 65535


def _check_address(value: str) -> str:
    found = _ADDRESS.fullmatch(value)
    if not found or int(found["port"]) > _HIGHEST_PORT:
        raise custom_error("must be HOST:PORT, such as localhost:8099")
    return value


def _check_master(value: str) -> str:
    if not _MASTER.fullmatch(value):
        raise custom_error("must be the address of Flink's REST interface, such as http://flink:8081")
    return value


def _check_bucket(value: str) -> str:
    if not re.fullmatch(r"gs://[^/\s]+(/\S*)?", value):
        raise custom_error("must be a place in Google Cloud Storage, such as gs://bucket/temporary")
    return value


Address = Annotated[str, AfterValidator(_check_address)]
Master = Annotated[str, AfterValidator(_check_master)]
Bucket = Annotated[str, AfterValidator(_check_bucket)]
Name = Annotated[str, Field(min_length=1)]


class DirectSettings(Settings):
    """Beam's own runner, on this machine; it needs no set-up.

    Attributes:
      workers: How many processes work; with 1 it is this one.
    """

    workers: PositiveInt = 1


class WorkerSettings(Settings):
    """Where the Python code of a job runs.

    Attributes:
      kind: `loopback` is this machine, whatever the engine's: nothing is distributed. `external` is a pool of
        workers that runs beside each of the engine's, `process` a program that the engine starts on its
        machines, `docker` a container that it starts there.
      address: Of the pool, as the engine's machines see it.
      command: The program, with its whole path.
      image: The container's.
      per_machine: Processes on each of the engine's machines.
    """

    kind: Literal["loopback", "external", "process", "docker"] = "loopback"
    address: Address | None = None
    command: Name | None = None
    image: Name | None = None
    per_machine: PositiveInt = 1

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = {"external": "address", "process": "command", "docker": "image"}.get(self.kind)
        for key in ("address", "command", "image"):
            is_given = getattr(self, key) is not None
            if key == needed and not is_given:
                raise custom_error(f"{key}: workers of the kind {self.kind} need one")
            if key != needed and is_given:
                raise custom_error(f"{key}: workers of the kind {self.kind} have none; leave it out")
        return self


class _JobServer(Settings):
    """An engine to which a job server of Beam's hands over jobs.

    Attributes:
      job_server: The address of one that runs; None starts one for each job, with this machine's Java.
      job_server_jar: What is started, a path or URL; None is what Beam downloads.
      workers: Where the Python code runs.
      parallelism: Into how many parts a step is divided; None leaves it to the engine.
    """

    job_server: Address | None = None
    job_server_jar: Name | None = None
    workers: WorkerSettings = WorkerSettings()
    parallelism: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_job_server(self) -> Self:
        if self.job_server is not None and self.job_server_jar is not None:
            raise custom_error("job_server_jar: job_server names one that runs; leave one of them out")
        return self


class FlinkSettings(_JobServer):
    """An Apache Flink cluster.

    Attributes:
      master: The address of its REST interface, where its version and its slots are asked.
    """

    master: Master | None = None


class SparkSettings(_JobServer):
    """An Apache Spark cluster.

    Attributes:
      master: Its URL; not needed beside a job server that runs.
    """

    master: Name | None = None


class DataflowSettings(Settings):
    """Google Cloud Dataflow.

    Attributes:
      project: Of Google Cloud.
      region: Where the jobs run.
      temporary: Where they leave what is in between; what is staged lies below it, too.
      image: Of the workers, with this project in it.
      service_account: As which the workers run; None is the project's own.
      most_workers: Machines at most; None is Dataflow's limit.
      machine: The type of machine, which says how much memory a worker has; None is Dataflow's.
    """

    project: Name | None = None
    region: Name | None = None
    temporary: Bucket | None = None
    image: Name | None = None
    service_account: Name | None = None
    most_workers: PositiveInt | None = None
    machine: Name | None = None


class BeamSettings(Settings):
    """On which engine Beam runs, and how each engine is reached.

    Attributes:
      engine: The one that runs; the sections of the others wait until they are asked for.
      direct: Beam's own runner, on this machine.
      flink: A Flink cluster.
      spark: A Spark cluster.
      dataflow: Google's service.
      options: Any others of Beam's, such as `--flink_max_parallelism=8`.
      start_seconds: How long a first small job may take until workers answer; it tells one that runs from one
        that waits for ever.
    """

    engine: Engine = "direct"
    direct: DirectSettings = DirectSettings()
    flink: FlinkSettings = FlinkSettings()
    spark: SparkSettings = SparkSettings()
    dataflow: DataflowSettings = DataflowSettings()
    options: Annotated[tuple[str, ...], Field(strict=False)] = ()
    start_seconds: PositiveInt = 60

    @model_validator(mode="after")
    def _engine_can_be_reached(self) -> Self:
        match self.engine:
            case "flink" if self.flink.master is None and self.flink.job_server is None:
                raise custom_error(
                    "flink: neither master nor job_server is given; say where the cluster is, as in master: "
                    "http://flink:8081"
                )
            case "spark" if self.spark.master is None and self.spark.job_server is None:
                raise custom_error(
                    "spark: neither master nor job_server is given; say where the cluster is, as in "
                    "job_server: localhost:8099"
                )
            case "dataflow":
                for key in ("project", "region", "temporary", "image"):
                    if getattr(self.dataflow, key) is None:
                        raise custom_error(f"dataflow.{key}: is missing")
        return self

    @model_validator(mode="after")
    def _options_are_options(self) -> Self:
        for option in self.options:
            if not option.startswith("--"):
                raise custom_error(f"options: got {option!r}; an option of Beam's is written as --NAME=VALUE")
        return self


def with_options(settings: BeamSettings, options: Sequence[str]) -> BeamSettings:
    """Returns settings with further options of Beam's, as the command line gives them.

    Raises:
      InputError: One is not written as an option.
    """
    for option in options:
        if not option.startswith("--"):
            raise InputError(f"--beam-arg {option}: an option of Beam's is written as --NAME=VALUE.")
    return settings.model_copy(update={"options": (*settings.options, *options)})
