"""Names of architectures, and how a name or an import path becomes a function.

Nothing here imports Keras: configurations are checked before it is needed.
"""

import ast
import importlib
import importlib.util
import pathlib
from collections.abc import Callable
from typing import Any

from components.errors import InputError, suggest
from components.models import applications

ARCHITECTURES = {
    "digits_teacher": "components.models.digits:digits_teacher",
    "digits_student": "components.models.digits:digits_student",
    "mnist_teacher": "components.models.mnist:mnist_teacher",
    "mnist_student": "components.models.mnist:mnist_student",
    "cats_vs_dogs_teacher": "components.models.cats_vs_dogs:cats_vs_dogs_teacher",
    "cats_vs_dogs_student": "components.models.cats_vs_dogs:cats_vs_dogs_student",
    "airbench": "components.models.airbench:airbench",
    "resnet20": "components.models.resnet:resnet20",
    "resnet56": "components.models.resnet:resnet56",
    "mobilenet_v3_small": "components.models.mobile:mobilenet_v3_small",
}


def load(name: str) -> Callable[..., Any]:
    """Imports the function that builds an architecture.

    Args:
      name: A registered name, an import path `package.module:function`, or one of `keras.applications`,
        whose weights are then random.

    Returns:
      A function of `(image_shape, num_classes)` that returns a `keras.Model`.

    Raises:
      InputError: There is no such architecture.
    """
    if applications.is_application(name):
        return applications.architecture(name, weights_file=None)
    problem = find_problem(name)
    if problem:
        raise InputError(f"Architecture {name!r} {problem}.")
    module, _, function = import_path(name).partition(":")
    return getattr(importlib.import_module(module), function)


def import_path(name: str) -> str:
    """Returns `package.module:function` for a registered name; an import path stays as it is."""
    return ARCHITECTURES.get(name, name)


def source_file(name: str) -> pathlib.Path:
    """Returns the file that defines an architecture, without importing it."""
    if applications.is_application(name):
        return pathlib.Path(applications.__file__)
    spec = importlib.util.find_spec(import_path(name).partition(":")[0])
    if spec is None or spec.origin is None:
        raise InputError(f"Architecture {name!r} has no source file.")
    return pathlib.Path(spec.origin)


def find_problem(name: str) -> str | None:
    """Says why a name is no architecture, or returns None if it is one. Imports no model code."""
    if name in ARCHITECTURES:
        return None
    module, colon, function = name.partition(":")
    if not colon:
        known = ", ".join(ARCHITECTURES)
        return (
            f"is unknown; allowed: {known}, or an import path 'package.module:function'"
            f"{suggest(name, ARCHITECTURES)}"
        )
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return f"names module {module!r}, which is not on the Python path; install it or run from its folder"
    if spec.origin.endswith(".py") and not _defines(pathlib.Path(spec.origin), function):
        return f"names {function!r}, which module {module!r} does not define"
    return None


def _defines(path: pathlib.Path, name: str) -> bool:
    """Tells whether a module binds a name at its top level, as far as its text shows."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError:
        return True  # Importing it will say where the error is.
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.ImportFrom | ast.Import) and any(
            alias.name == "*" or (alias.asname or alias.name) == name for alias in node.names
        ):
            return True
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return True
    return False
