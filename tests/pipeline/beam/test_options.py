"""The options that choose an engine, as Beam's own parsers understand them."""

import pathlib

import pytest
from apache_beam.options import pipeline_options as beam_options

from components.errors import InputError
from pipeline.beam.options import to_args
from pipeline.config.beam import with_options
from pipeline.config.loading import ConfigError, load_config

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


def settings(*overrides: str):
    return load_config(DIGITS, overrides=overrides).beam


def parsed(view, *overrides: str, **arguments):
    """What one of Beam's parsers makes of the options."""
    return beam_options.PipelineOptions(list(to_args(settings(*overrides), **arguments))).view_as(view)


def test_beam_runs_in_this_process_unless_asked_otherwise():
    options = parsed(beam_options.DirectOptions)
    assert (options.direct_running_mode, options.direct_num_workers) == ("in_memory", 1)
    options = parsed(beam_options.DirectOptions, "beam.direct.workers=3")
    assert (options.direct_running_mode, options.direct_num_workers) == ("multi_processing", 3)
    assert parsed(beam_options.StandardOptions).runner is None


def test_workers_of_every_engine_import_tfx_first():
    overrides = ["beam.engine=flink", "beam.flink.job_server=flink:8099"]
    assert parsed(beam_options.SetupOptions, *overrides).beam_plugins == ["tfx"]
    assert parsed(beam_options.SetupOptions).beam_plugins == ["tfx"]


def test_flink_by_a_job_server_that_runs():
    overrides = [
        "beam={engine: flink, flink: {job_server: 'flink:8099', parallelism: 4, "
        "workers: {kind: external, address: 'localhost:50000', per_machine: 2}}}"
    ]
    assert parsed(beam_options.StandardOptions, *overrides).runner == "PortableRunner"
    options = parsed(beam_options.PortableOptions, *overrides)
    assert options.job_endpoint == "flink:8099"
    assert options.environment_type == "EXTERNAL"
    assert options.environment_config == "localhost:50000"
    assert options.sdk_worker_parallelism == "2"
    assert parsed(beam_options.FlinkRunnerOptions, *overrides).parallelism == 4


def test_flink_by_a_job_server_that_is_started():
    overrides = [
        "beam={engine: flink, flink: {master: 'flink:8081', job_server_jar: server.jar, "
        "workers: {kind: process, command: /opt/worker}}}"
    ]
    assert parsed(beam_options.StandardOptions, *overrides).runner == "FlinkRunner"
    options = parsed(beam_options.FlinkRunnerOptions, *overrides, flink_version="1.19")
    assert options.flink_master == "http://flink:8081"
    assert options.flink_version == "1.19"
    assert options.flink_job_server_jar == "server.jar"
    options = parsed(beam_options.PortableOptions, *overrides)
    assert options.environment_type == "PROCESS"
    assert options.environment_config == '{"command": "/opt/worker"}'


def test_spark():
    overrides = ["beam={engine: spark, spark: {master: 'spark://spark:7077', job_server_jar: server.jar}}"]
    assert parsed(beam_options.StandardOptions, *overrides).runner == "SparkRunner"
    options = parsed(beam_options.SparkRunnerOptions, *overrides)
    assert options.spark_master_url == "spark://spark:7077"
    assert options.spark_job_server_jar == "server.jar"
    overrides = [
        "beam={engine: spark, spark: {job_server: 'spark:8099', workers: {kind: docker, image: one:1}}}"
    ]
    options = parsed(beam_options.PortableOptions, *overrides)
    assert (options.job_endpoint, options.environment_config) == ("spark:8099", "one:1")


def test_dataflow():
    overrides = [
        "beam={engine: dataflow, dataflow: {project: p, region: r, temporary: 'gs://b/t', image: one:1, "
        "service_account: s@p, most_workers: 8, machine: n1-standard-4}}"
    ]
    options = parsed(beam_options.GoogleCloudOptions, *overrides)
    assert (options.project, options.region, options.temp_location) == ("p", "r", "gs://b/t")
    assert options.service_account_email == "s@p"
    options = parsed(beam_options.WorkerOptions, *overrides)
    assert (options.sdk_container_image, options.max_num_workers) == ("one:1", 8)
    assert options.machine_type == "n1-standard-4"


def test_options_of_the_command_line_count_most():
    given = settings("beam.direct.workers=3", "beam.options=['--direct_num_workers=4']")
    args = to_args(with_options(given, ["--direct_num_workers=5"]))
    assert (
        beam_options.PipelineOptions(list(args)).view_as(beam_options.DirectOptions).direct_num_workers == 5
    )


def test_what_is_no_option_is_refused():
    with pytest.raises(InputError, match=r"--beam-arg workers=5: .* --NAME=VALUE"):
        with_options(settings(), ["workers=5"])
    with pytest.raises(ConfigError, match="options: got 'workers=5'"):
        settings("beam.options=[workers=5]")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{engine: flik}", "engine: .*'flink'"),
        ("{engine: flink}", "flink: neither master nor job_server is given"),
        ("{engine: spark}", "spark: neither master nor job_server is given"),
        ("{engine: dataflow, dataflow: {project: p, region: r}}", "dataflow.temporary: is missing"),
        ("{flink: {job_server: flink}}", "flink.job_server: .*must be HOST:PORT"),
        ("{flink: {job_server: 'flink:99999'}}", "flink.job_server: .*must be HOST:PORT"),
        ("{flink: {master: 'no place'}}", "flink.master: .*must be the address"),
        ("{flink: {job_server: 'a:1', job_server_jar: b}}", "job_server_jar: job_server names one"),
        ("{flink: {workers: {kind: external}}}", "workers: address: .* external need one"),
        ("{flink: {workers: {kind: process}}}", "workers: command: .* process need one"),
        ("{flink: {workers: {image: one}}}", "workers: image: .* loopback have none"),
        ("{dataflow: {temporary: /tmp}}", "temporary: .*must be a place in Google Cloud Storage"),
    ],
)
def test_mistakes_are_told_at_once(section, message):
    with pytest.raises(ConfigError, match=message):
        settings(f"beam={section}")


def test_a_section_may_wait_until_its_engine_is_asked_for():
    waiting = "beam={flink: {job_server: 'flink:8099'}}"
    assert settings(waiting).engine == "direct"
    assert settings(waiting, "beam.engine=flink").engine == "flink"
