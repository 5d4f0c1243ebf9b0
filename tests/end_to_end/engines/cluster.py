"""A Flink cluster on this machine, and what Beam needs beside it: each part is a process of its own."""

import contextlib
import json
import pathlib
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
from command_line import REPOSITORY
from parts import HOST, Part, free_ports

SET_UP = REPOSITORY / "build" / "flink"
JOB_SERVER = SET_UP / "job-server.jar"

# What Flink's own start scripts add: they are no part of what is on PyPI.
_OPENED = [
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text"),
    *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
    *("java.util.concurrent.locks", "sun.net.util"),
]
_JAVA = [
    "java",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:MaxMetaspaceSize=700m"),
]
# Without those scripts every size has to be given.
_MEMORY = {
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.memory.task.heap.size": "384m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.task.off-heap.size": "64m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.network.min": "512m",
    "taskmanager.memory.network.max": "512m",
    "taskmanager.memory.segment-size": "16kb",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.jvm-metaspace.size": "700m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c{1} %m%n
"""


def find_missing() -> str | None:
    """Returns why there can be no cluster here, or None."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            return f"needs {program}: apt-get install openjdk-17-jre-headless maven"
    if not JOB_SERVER.is_file():
        return "needs what `make test-flink` sets up"
    return None


class Cluster:
    """A JobManager, TaskManagers with two slots each, Beam's job server, and a pool of Python workers.

    The pool serves both TaskManagers: they are on one machine, and would find theirs at the same address.
    """

    def __init__(self, directory: pathlib.Path, *, task_managers: int = 2) -> None:
        self._directory = directory
        self._conf = directory / "conf"
        self._conf.mkdir()
        names = ("rpc", "rest", "blob", "jobs", "artifacts", "pool")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        (self._conf / "log4j.properties").write_text(_LOGGING)
        (self._conf / "config.yaml").write_text(
            json.dumps(
                {
                    "jobmanager.rpc.address": HOST,
                    "jobmanager.bind-host": HOST,
                    "jobmanager.rpc.port": self._ports["rpc"],
                    "rest.address": HOST,
                    "rest.bind-address": HOST,
                    "rest.port": self._ports["rest"],
                    "blob.server.port": str(self._ports["blob"]),
                    "taskmanager.host": HOST,
                    "taskmanager.bind-host": HOST,
                    "taskmanager.numberOfTaskSlots": 2,
                    "cluster.evenly-spread-out-slots": True,
                    "io.tmp.dirs": str(directory),
                    # Without one, a job is lost with any part. Beam's own option is for streams alone.
                    "restart-strategy.type": "exponential-delay",
                    "restart-strategy.exponential-delay.initial-backoff": "1 s",
                    "restart-strategy.exponential-delay.attempts-before-reset-backoff": 3,
                    # A lost part is missed in seconds.
                    "heartbeat.interval": 1000,
                    "heartbeat.timeout": 10000,
                    "slot.request.timeout": 10000,
                    "rest.retry.max-attempts": 5,
                    "rest.retry.delay": 1000,
                    **_MEMORY,
                }
            )
        )
        self._parts: dict[str, Part] = {}
        self.task_managers = [f"taskmanager-{number + 1}" for number in range(task_managers)]

    @property
    def names(self) -> list[str]:
        """Of the parts."""
        return ["jobmanager", *self.task_managers, "job-server", "pool"]

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]

    @property
    def master(self) -> str:
        """The address of Flink's REST interface."""
        return f"http://{HOST}:{self._ports['rest']}"

    @property
    def options(self) -> list[str]:
        """Those of the command line that run Beam here."""
        pool = {"kind": "external", "address": f"{HOST}:{self._ports['pool']}"}
        # Not Flink itself, which the job server has on its class path.
        return [
            *("--beam", "flink", "--set", f"beam.flink={json.dumps(self.settings(workers=pool))}"),
            *("--set", "beam.start_seconds=300"),  # This machine may be busy.
            *("--beam-arg", f"--files_to_stage={JOB_SERVER}"),
        ]

    def settings(self, *, workers: dict[str, str]) -> dict[str, Any]:
        """Returns how to reach the cluster, for `beam.flink`."""
        return {
            "master": self.master,
            "job_server": f"{HOST}:{self._ports['jobs']}",
            "parallelism": 2,
            "workers": workers,
        }

    def start(self, *names: str) -> None:
        """Starts parts anew, at the addresses that they had, and waits until they are ready."""
        for name in names:
            command, ready = self._command(name)
            self._parts[name] = Part(name, command, ready=ready, directory=self._directory)
        for name in names:
            self._parts[name].wait_until_ready()
        if "jobmanager" in names:  # A new one knows no TaskManager until they have found it.
            for name in self.task_managers:
                self["jobmanager"].wait_for(f"Registering TaskManager with ResourceID {name} ")

    def stop(self) -> None:
        """Ends all parts."""
        for part in self._parts.values():
            part.kill()

    def ask(self, path: str) -> Any:
        """Asks Flink's REST interface."""
        with urllib.request.urlopen(self.master + path, timeout=30) as answer:
            return json.load(answer)

    def kill_workers(self) -> None:
        """Ends at once the workers that the pool has started; it has them forked by a process between."""
        pool = psutil.Process(self["pool"].process.pid)
        for between in pool.children():
            for worker in between.children():
                with contextlib.suppress(psutil.NoSuchProcess):  # One of the job before.
                    worker.kill()

    def hosts_of(self, job: str) -> set[str]:
        """Returns the ids of the TaskManagers on which subtasks of a job ran."""
        vertices = self.ask(f"/jobs/{job}")["vertices"]
        return {
            subtask["taskmanager-id"]
            for vertex in vertices
            for subtask in self.ask(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]
        }

    def _command(self, name: str) -> tuple[list[str], str]:
        """Returns what starts a part, and what it says when it is ready."""
        if name == "pool":
            pool = [sys.executable, "-m", "components.beam_workers.pool"]
            return [*pool, "--host", HOST, "--port", str(self._ports["pool"])], "Serving workers"
        java = [*_JAVA, f"-Dlog4j.configurationFile={self._conf / 'log4j.properties'}"]
        flink = f"{SET_UP / 'lib'}/*"
        if name == "job-server":
            options = {
                "flink-master": f"{HOST}:{self._ports['rest']}",
                "flink-conf-dir": self._conf,
                "job-host": HOST,
                "job-port": self._ports["jobs"],
                "artifact-port": self._ports["artifacts"],
                "expansion-port": 0,
                "artifacts-dir": self._directory / "staged",
            }
            driver = ["-cp", f"{JOB_SERVER}:{flink}", "org.apache.beam.runners.flink.FlinkJobServerDriver"]
            given = [f"--{option}={value}" for option, value in options.items()]
            return [*java, "-Xmx512m", *driver, *given], "Job server now running"
        conf = ["--configDir", str(self._conf)]
        if name == "jobmanager":
            main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
            return [*java, "-Xmx512m", "-cp", flink, main, *conf], "Rest endpoint listening"
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        memory = ["-Xmx512m", "-XX:MaxDirectMemorySize=900m"]
        itself = ["-D", f"taskmanager.resource-id={name}"]
        return [
            *java,
            *memory,
            "-cp",
            flink,
            main,
            *conf,
            *itself,
        ], "Successful registration at resource"


@contextlib.contextmanager
def running_cluster(directory: pathlib.Path, *, task_managers: int = 2) -> Iterator[Cluster]:
    """Runs a cluster within a context."""
    cluster = Cluster(directory, task_managers=task_managers)
    try:
        cluster.start(*cluster.names)
        yield cluster
    finally:
        cluster.stop()
