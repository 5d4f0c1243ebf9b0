"""The parameters of a run: what a user changes without compiling again.

Each is an input of the pipeline, with the configuration's value as its default, and reaches a node as one
more input of its task. The container's entry point then puts it where the node looks for it: at a path
through the node's exec properties; JSON strings on the way are entered like mappings.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from components.distiller.search import Search
from components.errors import InputError
from components.settings.models import ModelSettings
from pipeline.config.experiment import Config
from pipeline.config.nodes import LOOK, distiller_id

# The Pusher must have a directory to push to. Where none is configured this one ends with the pod, and the
# student is the Pusher's artifact `pushed_model`.
SCRATCH_DIRECTORY = "/tmp/pushed"

# With which what Kubeflow fills in begins, such as `[[ScheduledTime.2006-01-02]]`.
UNFILLED = "[["

_EPOCHS = "job.model.epochs"
# Look knows the whole configuration, into which every parameter of the run is put as `--set` would.
_CONFIGURATION = "configuration"


@dataclasses.dataclass(frozen=True)
class RunParameter:
    """A parameter of a run: its name, type and default, and the path at each node that it sets.

    An empty string keeps what was compiled.
    """

    name: str
    type: Literal["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE"]
    default: str | int | float
    description: str
    paths: Mapping[str, str]


def run_parameters(config: Config) -> tuple[RunParameter, ...]:
    """Returns the parameters of an experiment's runs.

    Args:
      config: The experiment.
    """
    scratch = {"Scratch": f"custom_config.{_EPOCHS}"} if config.data.labels else {}
    distillers = [distiller_id(each.name) for each in config.distillers]
    parameters = [
        *_of_data(config),
        *_of_teachers(config),
        RunParameter(
            "student_epochs",
            "NUMBER_INTEGER",
            config.student.epochs,
            "How many times every student, distilled or not, sees the training split.",
            scratch | dict.fromkeys(distillers, _EPOCHS) | _of_look("student.epochs"),
        ),
        RunParameter(
            "push_directory",
            "STRING",
            config.push.directory or "",
            "Where a blessed student goes, and what ships is found: a directory of a mounted volume, or a "
            "URI of gs, s3 or minio.",
            _paths_of_push_directory(config) | _of_look("push.directory"),
        ),
    ]
    for index, search in enumerate(config.distillations):
        distillers = [distiller_id(each.name) for each in config.distillers_of(search)]
        parameters += _of_distillation(search, index=index, distillers=distillers, labels=config.data.labels)
    return tuple(parameters)


def assign(properties: Mapping[str, Any], *, path: str, value: str | int | float) -> dict[str, Any]:
    """Puts the value of a run parameter into the exec properties of a node.

    Args:
      properties: The exec properties.
      path: Keys joined by dots, a list's by index; a JSON string on the way is entered.
      value: The value; an empty string leaves everything as it is, and a number becomes an integer where
        there was one, since Kubeflow knows only floating-point numbers.

    Returns:
      New exec properties.

    Raises:
      InputError: The value is no whole number where one is needed.
    """
    if value == "":
        return dict(properties)
    changed: dict[str, Any] = _assign(properties, path.split("."), value)
    return changed


def _of_data(config: Config) -> list[RunParameter]:
    span = RunParameter(
        "span",
        "STRING",
        "",
        "The newest span of the window, a number or a date; empty is what was compiled, or else the newest "
        "that is there.",
        _of_look("data.span"),  # Which tells ExampleGen the newest, whatever it was given.
    )
    spans = [span] if config.data.has_spans else []
    key = config.data.location_key
    if key is None:
        return []
    location = RunParameter(
        "data_location",
        "STRING",
        getattr(config.data, key) or "",
        "Where the data lies, as the container sees it; empty is what was compiled.",
        {"ExampleGen": f"data.{key}"} | _of_look(f"data.{key}"),
    )
    return [location, *spans]


def _of_look(key: str) -> dict[str, str]:
    """Returns the path of a key of the configuration at Look."""
    return {LOOK: f"{_CONFIGURATION}.{key}"}


def _paths_of_push_directory(config: Config) -> dict[str, str]:
    """Returns where each node that writes or reads what ships is told of the directory."""
    paths = {
        "ExampleValidator": "versions_directory",
        "Teacher": "custom_config.job.keeping.directory",
        "Scratch": "custom_config.job.start.directory",
        "Evaluator": "versions_directory",
    }
    readers = {node: paths.get(node, "job.start.directory") for node in config.readers_of_what_ships}
    return readers | {"Pusher": "push.directory"}


def _of_teachers(config: Config) -> list[RunParameter]:
    are_several = isinstance(config.teacher, tuple)
    keys = [f"teacher.{index}" if are_several else "teacher" for index in range(len(config.teachers))]
    return [
        RunParameter(
            f"{node.lower().replace('-', '_')}_epochs",
            "NUMBER_INTEGER",
            teacher.epochs,
            f"How many times the {node.lower().replace('-', ' ')} sees the training split.",
            {node: f"custom_config.{_EPOCHS}"} | _of_look(f"{key}.epochs"),
        )
        for key, (node, teacher) in zip(keys, config.teachers.items(), strict=True)
        if isinstance(teacher, ModelSettings)
    ]


def _of_distillation(
    search: Search, *, index: int, distillers: Sequence[str], labels: bool
) -> list[RunParameter]:
    """Returns the parameters of all variants of a distillation alike; a key of several values has none."""
    prefix = search.name.replace("-", "_")
    values = search.base.model_dump()
    return [
        RunParameter(
            f"{prefix}_{key}",
            "NUMBER_DOUBLE",
            values[key],
            f"The {key.replace('_', ' ')} of the distillation {search.name!r}.",
            dict.fromkeys(distillers, f"distillation.{key}") | _of_look(f"distillations.{index}.{key}"),
        )
        for key in search.base.run_parameters
        if key not in search.searched and (labels or key != "student_loss_weight")
    ]


def _assign(node: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return _whole(value) if isinstance(node, int) and isinstance(value, float) else value
    if isinstance(node, str):
        return json.dumps(_assign(json.loads(node), keys, value))
    key, *rest = keys
    if isinstance(node, list):
        return [_assign(each, rest, value) if str(at) == key else each for at, each in enumerate(node)]
    return {**node, key: _assign(node[key], rest, value)}


def _whole(value: float) -> int:
    """Returns a whole number that Kubeflow has made a floating-point number of."""
    if not value.is_integer():
        raise InputError(f"got {value:g}; it must be a whole number")
    return int(value)
