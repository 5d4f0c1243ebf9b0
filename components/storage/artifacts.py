"""A node's artifacts on this machine while it runs, as a launcher of Kubeflow Pipelines would have it."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar

from components.storage.copies import local_copy, temporary_directory, upload
from components.storage.files import is_folder, write_bytes
from components.storage.uri import as_path, is_remote, join, name_of

# An object store has no empty folders, and what is not there TFX does not take from the cache.
_EMPTY = ".empty"

P = ParamSpec("P")
R = TypeVar("R")


class Artifact(Protocol):
    """What is needed of an artifact of TFX's."""

    uri: str


def on_this_machine(*, but: Collection[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Has an executor's `Do` find its inputs on this machine, and copies its outputs back.

    Artifacts that are here stay as they are.

    Args:
      but: The keys of inputs that stay where they are, since little is read of them.

    Returns:
      A decorator of a method that takes `input_dict`, `output_dict` and more.
    """

    def decorate(do: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(do)
        def do_here(*args: P.args, **kwargs: P.kwargs) -> R:
            _, inputs, outputs, *_ = args
            with at_hand(_each(inputs, but=but), _each(outputs)) as places:
                result = do(*args, **kwargs)
            for found in getattr(result, "output_artifacts", {}).values():  # As ExampleValidator does.
                for artifact in found.artifacts:
                    artifact.uri = places.get(artifact.uri, artifact.uri)
            return result

        return do_here

    return decorate


@contextlib.contextmanager
def at_hand(inputs: Iterable[Artifact], outputs: Iterable[Artifact]) -> Iterator[dict[str, str]]:
    """Gives artifacts paths on this machine for a while.

    Args:
      inputs: Those that are read.
      outputs: Those that are written. They are copied to their places unless that fails.

    Yields:
      These places, by the paths.
    """
    with contextlib.ExitStack() as stack:
        for artifact in inputs:
            if is_remote(artifact.uri):
                stack.callback(setattr, artifact, "uri", artifact.uri)
                artifact.uri = str(local_copy(artifact.uri))
        places: dict[str, str] = {}
        for artifact in outputs:
            if is_remote(artifact.uri):
                stack.callback(setattr, artifact, "uri", artifact.uri)
                directory = stack.enter_context(temporary_directory()) / name_of(artifact.uri)
                directory.mkdir()
                places[str(directory)] = artifact.uri
                artifact.uri = str(directory)
        yield places
        for path, uri in places.items():
            upload(as_path(path), uri)
            keep_empty(uri)


def keep_empty(uri: str) -> None:
    """Sees to it that an artifact is there although it holds no file."""
    if is_remote(uri) and not is_folder(uri):
        write_bytes(join(uri, _EMPTY), b"")


def _each(artifacts: Any, *, but: Collection[str] = ()) -> list[Artifact]:
    return [each for key, several in artifacts.items() if key not in but for each in several]
