"""From the `beam` section of the configuration to the options of Beam's pipelines."""

import json
from collections.abc import Iterator, Sequence

from pipeline.config.beam import BeamSettings, FlinkSettings, SparkSettings, WorkerSettings

# Worker processes must import `tfx` before they unpickle what imports parts of tfx-bsl that it stands in for.
_EVERYWHERE = ("--beam_plugins=tfx",)


def to_args(settings: BeamSettings, *, flink_version: str | None = None) -> tuple[str, ...]:
    """Returns the options that choose an engine; a later one counts more than an earlier.

    Args:
      settings: The engine, and how it is reached.
      flink_version: Of the cluster, such as `1.19`; needed where a job server has to be started for it.
    """
    engines = {
        "direct": _direct,
        "flink": lambda settings: _flink(settings.flink, version=flink_version),
        "spark": lambda settings: _spark(settings.spark),
        "dataflow": _dataflow,
    }
    return (*_EVERYWHERE, *engines[settings.engine](settings), *settings.options)


def with_scheme(master: str) -> str:
    """Returns the URL of Flink's REST interface, which people write without `http://`, too."""
    return (master if "://" in master else f"http://{master}").rstrip("/")


def _direct(settings: BeamSettings) -> Iterator[str]:
    workers = settings.direct.workers
    yield f"--direct_running_mode={'in_memory' if workers == 1 else 'multi_processing'}"
    yield f"--direct_num_workers={workers}"


def _flink(flink: FlinkSettings, *, version: str | None) -> Iterator[str]:
    started = ["--runner=FlinkRunner", f"--flink_master={with_scheme(str(flink.master))}"]
    if version:
        started.append(f"--flink_version={version}")
    yield from _by_job_server(flink, started=started, jar="flink_job_server_jar")


def _spark(spark: SparkSettings) -> Iterator[str]:
    started = ["--runner=SparkRunner", f"--spark_master_url={spark.master}"]
    yield from _by_job_server(spark, started=started, jar="spark_job_server_jar")


def _by_job_server(
    settings: FlinkSettings | SparkSettings, *, started: Sequence[str], jar: str
) -> Iterator[str]:
    """Yields the options for a job server that runs, or those with which one is started from a jar."""
    if settings.job_server:
        yield "--runner=PortableRunner"
        yield f"--job_endpoint={settings.job_server}"
    else:
        yield from started
        if settings.job_server_jar:
            yield f"--{jar}={settings.job_server_jar}"
    if settings.parallelism:
        yield f"--parallelism={settings.parallelism}"
    yield from _workers(settings.workers)


def _workers(workers: WorkerSettings) -> Iterator[str]:
    yield f"--environment_type={workers.kind.upper()}"
    match workers.kind:
        case "external":
            yield f"--environment_config={workers.address}"
        case "process":
            yield f"--environment_config={json.dumps({'command': workers.command})}"
        case "docker":
            yield f"--environment_config={workers.image}"
    yield f"--sdk_worker_parallelism={workers.per_machine}"


def _dataflow(settings: BeamSettings) -> Iterator[str]:
    dataflow = settings.dataflow
    yield "--runner=DataflowRunner"
    yield f"--project={dataflow.project}"
    yield f"--region={dataflow.region}"
    yield f"--temp_location={dataflow.temporary}"
    yield f"--sdk_container_image={dataflow.image}"
    yield "--sdk_location=container"  # The image has the project and Beam: nothing is staged.
    if dataflow.service_account:
        yield f"--service_account_email={dataflow.service_account}"
    if dataflow.most_workers:
        yield f"--max_num_workers={dataflow.most_workers}"
    if dataflow.machine:
        yield f"--worker_machine_type={dataflow.machine}"
