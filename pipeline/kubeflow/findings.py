"""What the node Look tells the other nodes, and where each puts it.

Each is an output parameter of Look and one more input of a node's task, as the parameters of a run are. So it
is part of the key of Kubeflow's cache, which does not see by itself what lies behind a path, nor what ships.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from components.settings.models import OutsideTeacher, PretrainedTeacher
from pipeline.config.experiment import Config
from pipeline.config.nodes import distiller_id

# The line of the ledger with which the run began, or the one whose results it repeats.
TICK = "tick"
# The output of Look that is for a reader, not for nodes.
PAGE = "news"

_OF_TRAINER, _OF_DISTILLER = "custom_config.job", "job"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What Look has found.

    Attributes:
      name: By which the nodes know it.
      source: By which name `pipeline.kubeflow.look` takes it.
      paths: The path through the exec properties of each node that is told.
    """

    name: str
    source: str
    paths: Mapping[str, str]


def findings(config: Config) -> tuple[Finding, ...]:
    """Returns what Look tells the nodes of an experiment of its data, its models and what ships.

    Args:
      config: The experiment.
    """
    return tuple(_findings(config))


def _findings(config: Config) -> Iterator[Finding]:
    yield Finding("data_fingerprint", "data", {"ExampleGen": "fingerprint"})
    # Whether there are spans is up to the location, which each run may change; what a node is told is not.
    if config.data.may_have_spans:
        yield Finding("newest_span", "span", {"ExampleGen": "data.span"})
    told = ("ExampleValidator", "Evaluator", "Pusher")
    yield Finding("incumbent_version", "incumbent", dict.fromkeys(told, "incumbent"))
    if config.retraining.student_start == "champion":
        yield Finding("start_version", "start", _of_students(config, "start.version"))
    if config.retraining.keep_teacher is not None:
        path = f"{_OF_TRAINER}.keeping.fingerprint"
        yield Finding("kept_teacher", "kept_teacher", {"Teacher": path})
    for node, teacher in config.teachers.items():
        name = f"{node.lower().replace('-', '_')}_files"
        if isinstance(teacher, OutsideTeacher):
            paths = {"TeacherPredictions": "predictions_import.file_fingerprint"}
        elif isinstance(teacher, PretrainedTeacher):
            paths = {node: "teacher_import.file_fingerprint"}
        else:
            paths = {node: f"{_OF_TRAINER}.code_fingerprint"}
        yield Finding(name, node.lower(), paths)
    yield Finding("student_files", "student", _of_students(config, "code_fingerprint"))


def _of_students(config: Config, key: str) -> dict[str, str]:
    """Returns the path of a key of the training at each node that trains a student."""
    scratch = {"Scratch": f"{_OF_TRAINER}.{key}"} if config.data.labels else {}
    distillers = [distiller_id(each.name) for each in config.distillers]
    return scratch | dict.fromkeys(distillers, f"{_OF_DISTILLER}.{key}")
