"""A first small job, which tells whether an engine's workers can do the work of this project.

An engine that has no workers, or workers without this project, would have a job wait for ever, and one whose
workers see another file system would fail in the middle. The answer comes back over the place where the
artifacts go, which shows that they can be written there, too.
"""

import importlib.metadata
import json
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from components.errors import InputError, first_line
from components.storage import files
from components.storage.uri import join
from pipeline.beam.failures import find_lost

# What must be the same where a job is put together and where it runs.
_PACKAGES = ("distillation-pipeline", "apache-beam", "tensorflow", "tfx", "keras", "numpy")
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_UNREADABLE = "the place of the artifacts cannot be read"


class UnreadableError(Exception):
    """A worker does not find what lies where the artifacts go."""


def probe(args: Sequence[str], *, engine: str, root: str, seconds: int) -> None:
    """Runs a small job, and waits for the answer of a worker.

    Args:
      args: The options of Beam.
      engine: Its name, for messages.
      root: Where the artifacts go, a folder that exists or a URI.
      seconds: How long the answer may take.

    Raises:
      InputError: None comes, or it shows that the workers cannot do the work.
    """
    name = f".probe-{uuid.uuid4().hex}"
    question, answer = (join(root, f"{name}.{part}") for part in ("question", "answer"))
    files.write_text(question, name)
    try:
        _run_within(seconds, args, question=question, answer=answer, engine=engine)
        if not files.exists(answer):
            raise InputError(
                f"beam: the workers of {engine} write to another {root} than this machine reads; let both "
                "see one volume, or give an object store as pipeline_root."
            )
        _compare(files.read_json(answer), engine=engine)
    finally:
        for each in (question, answer):
            files.remove(each)


def respond(question: str, answer: str) -> None:
    """Does the worker's part: reads what was asked, and writes which versions it has.

    Raises:
      UnreadableError: What was asked is not there.
    """
    try:
        with FileSystems.open(question) as file:
            file.read()
    except Exception as error:
        raise UnreadableError(f"{_UNREADABLE}: {question}") from error
    with FileSystems.create(answer, mime_type="text/plain") as file:
        file.write(json.dumps(_versions()).encode())


def _responder() -> Callable[[str, str], None]:
    """Returns the worker's part in a form that is sent whole, since it lies in no module.

    Of what lies in one, Beam sends the name. A worker without this project could not unpack that, and would
    have Flink wait for minutes for a word of it; so it can say what it lacks.
    """

    def respond_from_afar(question: str, answer: str) -> None:
        from pipeline.beam.probe import respond

        respond(question, answer)

    return respond_from_afar


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def _run_within(seconds: int, args: Sequence[str], *, question: str, answer: str, engine: str) -> None:
    """Runs the job in a thread of its own, since it may stop at any place, and for ever."""
    jobs: list[Any] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            pipeline = beam.Pipeline(argv=list(args))
            _ = pipeline | beam.Create([question]) | beam.Map(_responder(), answer)
            jobs.append(pipeline.run())
            jobs[0].wait_until_finish()
        except Exception as error:  # noqa: BLE001, it is raised where the job is waited for.
            failures.append(error)

    thread = threading.Thread(target=run, name="probe", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        if not jobs:
            raise InputError(
                f"beam: no job server of {engine} has taken a first small job within {seconds} s; one that "
                "is started here is downloaded first: name one that runs or its jar, or give it longer by "
                "beam.start_seconds."
            )
        threading.Thread(target=lambda: [job.cancel() for job in jobs], daemon=True).start()
        raise InputError(
            f"beam: no worker of {engine} has answered within {seconds} s; see whether its workers run and "
            "reach this machine, or give them longer by beam.start_seconds."
        )
    for failure in failures:
        raise _explain(failure, engine=engine) from failure


def _explain(failure: Exception, *, engine: str) -> InputError:
    text = str(failure)
    missing = _MISSING_MODULE.search(text)
    if missing:
        return InputError(
            f"beam: the workers of {engine} lack this project or what it needs (there is no module "
            f"{missing[1]!r}); install there what is installed here."
        )
    if _UNREADABLE in text:
        return InputError(
            f"beam: the workers of {engine} cannot read what this machine writes to the place of the "
            "artifacts; let both see one volume, or give an object store as pipeline_root."
        )
    lost = find_lost(failure)
    if lost:
        part, cause = lost
        return InputError(
            f"beam: a first small job on {engine} did not reach {part} ({cause}); see that all of it runs."
        )
    return InputError(f"beam: a first small job on {engine} failed ({first_line(failure)}); see the log.")


def _compare(found: dict[str, str], *, engine: str) -> None:
    """Refuses workers whose packages are of other versions than this machine's."""
    for package, version in _versions().items():
        if found.get(package) != version:
            raise InputError(
                f"beam: the workers of {engine} have {package} {found.get(package)}, and this machine has "
                f"{version}; install the same there."
            )
