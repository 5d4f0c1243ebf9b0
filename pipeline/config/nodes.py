"""How the nodes of the graph are named, and what kind they are of. Knows no configuration, imports no TFX."""

# Before all others, on Kubeflow alone: takes the fingerprints that a run on a laptop takes by itself.
LOOK = "Look"

_TRAINING_NODES = ("Teacher", "TeacherPredictions", "Scratch")
_BEAM_NODES = ("ExampleGen", "StatisticsGen", "Transform", "TeacherPredictions", "Evaluator")
_TEACHER, _DISTILLER = "Teacher-", "Distiller-"


def teacher_id(number: int) -> str:
    """Returns the node id of one of several teachers, which are counted from 1."""
    return f"{_TEACHER}{number}"


def distiller_id(name: str) -> str:
    """Returns the node id of a distillation; ids hold letters, digits and hyphens."""
    return f"{_DISTILLER}{name.replace('_', '-')}"


def is_training_node(node: str) -> bool:
    """Tells whether a node trains a model or runs one over the whole training split.

    Args:
      node: The node's id.
    """
    return node in _TRAINING_NODES or node.startswith((_TEACHER, _DISTILLER))


def uses_beam(node: str) -> bool:
    """Tells whether the work of a node is a Beam pipeline.

    Args:
      node: The node's id.
    """
    return node in _BEAM_NODES
