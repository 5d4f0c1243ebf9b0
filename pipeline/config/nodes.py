"""The ids of the graph's nodes. Apart from the graph, so that naming them does not import TFX."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:  # It imports this module, to check the nodes that it names.
    from components.settings.models import Teacher
    from pipeline.config.experiment import Config


def distiller_id(name: str) -> str:
    """Returns the node id of a distillation; ids hold letters, digits and hyphens."""
    return f"Distiller-{name.replace('_', '-')}"


def teacher_ids(config: Config) -> dict[str, Teacher]:
    """Returns the settings of each teacher, by the id of its node; several are averaged by `Teacher`."""
    if isinstance(config.teacher, tuple):
        return {f"Teacher-{number}": teacher for number, teacher in enumerate(config.teacher, start=1)}
    return {"Teacher": config.teacher}


def node_ids(config: Config) -> tuple[str, ...]:
    """Returns the ids of all nodes, in an order in which they can run."""
    return (
        "ExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "ExampleValidator",
        "Transform",
        *dict.fromkeys((*teacher_ids(config), "Teacher")),
        # There is nothing to train on but the teacher's predictions where there are no labels.
        *(("Scratch",) if config.data.labels else ()),
        *(("TeacherPredictions",) if config.stores_predictions else ()),
        *(distiller_id(distillation.name) for distillation in config.distillations),
        "Evaluator",
        "Pusher",
    )
