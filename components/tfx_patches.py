"""What is replaced inside TFX and Beam where they have neither option nor hook; each context undoes it.

Importing this imports neither of them.
"""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def transform_processor(processor: type) -> Iterator[None]:
    """Replaces the processor with which Transform works.

    TFX compresses what Transform writes by a constant. Its executor makes its processor by name.

    Args:
      processor: A subclass of TFX's `TransformProcessor`.
    """
    from tfx.components.transform import executor

    with _replaced(executor, "TransformProcessor", processor):
        yield


@contextlib.contextmanager
def launcher(launcher_class: type) -> Iterator[None]:
    """Replaces the launcher of nodes in TFX's local runners.

    TFX reports neither which node runs nor what became of it. LocalDagRunner and BeamDagRunner both look
    `Launcher` up in its module for each node.

    Args:
      launcher_class: A subclass of TFX's `Launcher`.
    """
    from tfx.orchestration.portable import launcher as module

    with _replaced(module, "Launcher", launcher_class):
        yield


@contextlib.contextmanager
def direct_runner() -> Iterator[None]:
    """Keeps Beam to its direct runner.

    Beam would download another one, Prism, and run that in its place, unless it takes us for a notebook.
    """
    from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner

    with _replaced(SwitchingDirectRunner, "_is_interactive", True):
        yield


@contextlib.contextmanager
def no_packing() -> Iterator[None]:
    """Keeps TFX from packing itself for Beam's workers, which takes seconds in every node that uses Beam.

    TFX alone would not do for a worker on another machine: it needs this project, and TFX comes with that.
    """
    from tfx.utils import dependency_utils

    with _replaced(dependency_utils, "make_beam_dependency_flags", list):
        yield


@contextlib.contextmanager
def artifact_types() -> Iterator[None]:
    """Makes this project's own types of artifacts known to TFX's entry point on Kubeflow.

    It knows types by a table of names and classes, to which only TFX's own belong.
    """
    from tfx.orchestration.kubeflow.v2 import compiler_utils
    from tfx.types import artifact

    from components import artifacts

    own = {
        candidate.TYPE_NAME: f"{candidate.__module__}.{candidate.__qualname__}"
        for candidate in vars(artifacts).values()
        if isinstance(candidate, type) and issubclass(candidate, artifact.Artifact) and candidate.TYPE_NAME
    }
    known = compiler_utils.TITLE_TO_CLASS_PATH
    with _replaced(compiler_utils, "TITLE_TO_CLASS_PATH", known | own):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Gives an attribute another value within a context."""
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
