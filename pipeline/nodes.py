"""The ids of the graph's nodes. Apart from the graph, so that naming them does not import TFX."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:  # It imports this module, to check the nodes that it names.
    from pipeline.config import Config


def distiller_id(name: str) -> str:
    """Returns the node id of a distillation; ids hold letters, digits and hyphens."""
    return f"Distiller-{name.replace('_', '-')}"


def node_ids(config: Config) -> tuple[str, ...]:
    """Returns the ids of all nodes, in an order in which they can run."""
    return (
        "ExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "ExampleValidator",
        "Transform",
        "Teacher",
        "Scratch",
        *(("TeacherPredictions",) if config.stores_predictions else ()),
        *(distiller_id(distillation.name) for distillation in config.distillations),
        "Evaluator",
        "Pusher",
    )
