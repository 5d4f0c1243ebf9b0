"""What is replaced inside TFX and Beam where they have neither option nor hook; each context undoes it.

Importing this imports neither of them.
"""

import contextlib
import copy
import functools
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def wherever_nodes_run() -> Iterator[None]:
    """Replaces what stands in the way of any node, on a laptop and in a container alike."""
    with direct_runner(), no_packing(), no_repetition(), one_s3_client():
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
def one_s3_client() -> Iterator[None]:
    """Has Beam make its client of S3 once, and not anew for each request, at a fifth of a second each.

    What is shared is boto3's client, which threads may share, not Beam's around it.
    """
    import boto3
    from apache_beam.io.aws.clients.s3 import boto3_client

    make, lock = functools.cache(boto3.session.Session().client), threading.Lock()

    def client(*args: Any, **settings: Any) -> Any:
        with lock:  # A session is no work for several threads.
            return make(*args, **settings)

    session = types.SimpleNamespace(client=client)
    stand_in = types.SimpleNamespace(session=types.SimpleNamespace(Session=lambda: session))
    with _replaced(boto3_client, "boto3", stand_in):
        yield


@contextlib.contextmanager
def loopback_workers() -> Iterator[None]:
    """Leaves it to workers in this process to end when their runner closes its stream, as they do anyway.

    Several TaskManagers number their workers alike, and Beam stops whichever it has started last under a
    number: the job fails with "Stream is already completed".
    """
    from apache_beam.portability.api import beam_fn_api_pb2
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    def stop_none(self: Any, request: Any, context: Any) -> Any:
        del self, request, context
        return beam_fn_api_pb2.StopWorkerResponse()

    with _replaced(BeamFnExternalWorkerPoolServicer, "StopWorker", stop_none):
        yield


@contextlib.contextmanager
def no_repetition() -> Iterator[None]:
    """Has Beam remember what it would find out anew for each step of each pipeline.

    A node over a thousand small images spends most of its time there: an options parser is built and run each
    time that an option is read, signatures are inspected some ten times for each function, all modules are
    searched for each function that is pickled, and the runner in this process weighs each object that it
    remembers lest a cache grow, of what it holds in memory anyway.
    """
    from apache_beam.internal.cloudpickle import cloudpickle
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import worker_handlers
    from apache_beam.transforms import core, userstate

    with (
        _replaced(PipelineOptions, "view_as", _remembering_views()),
        _replaced(
            core, "get_function_args_defaults", _remembering_arguments(core.get_function_args_defaults)
        ),
        _replaced(userstate, "get_dofn_specs", _remembering_specs(userstate.get_dofn_specs)),
        _replaced(
            cloudpickle,
            "_find_imported_submodules",
            _remembering_submodules(cloudpickle._find_imported_submodules),
        ),
        _replaced(worker_handlers, "STATE_CACHE_SIZE_MB", 0),
    ):
        yield


def _remembering_views() -> Callable[..., Any]:
    """Returns `PipelineOptions.view_as`, for which the same flags are parsed once."""
    views: dict[tuple[type, tuple[str, ...]], Any] = {}

    def view_as(self: Any, cls: type) -> Any:
        key = (cls, tuple(self._flags or ()))
        if key not in views:
            views[key] = cls(self._flags)
        view: Any = object.__new__(cls)
        vars(view).update(vars(views[key]))
        for option, value in vars(view._visible_options).items():
            if option not in self._all_options:  # As one list in all views of these options, and no others.
                self._all_options[option] = copy.copy(value)
        view._all_options = self._all_options
        return view

    return view_as


def _remembering_arguments(inspect: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns `get_function_args_defaults`, which inspects a function once, and once as a method."""
    known: Any = weakref.WeakKeyDictionary()

    def get_function_args_defaults(function: Any) -> Any:
        plain = getattr(function, "__func__", function)
        if not isinstance(plain, types.FunctionType):
            return inspect(function)
        found = known.setdefault(plain, {})
        is_bound = plain is not function
        if is_bound not in found:
            found[is_bound] = inspect(function)
        arguments, defaults = found[is_bound]
        return list(arguments), list(defaults)

    return get_function_args_defaults


def _remembering_specs(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns `get_dofn_specs`, which looks at each class once; at each object of those that get methods."""
    known: Any = weakref.WeakKeyDictionary()

    def get_dofn_specs(dofn: Any) -> Any:
        if any(isinstance(value, types.MethodType) for value in vars(dofn).values()):
            return find(dofn)
        if type(dofn) not in known:
            known[type(dofn)] = find(dofn)
        return tuple(map(set, known[type(dofn)]))

    return get_dofn_specs


def _remembering_submodules(find: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Returns `_find_imported_submodules`, which searches once as long as no module is imported."""
    known: dict[Any, Any] = {}

    def find_imported_submodules(code: Any, dependencies: Any) -> Any:
        dependencies = tuple(each for each in dependencies if isinstance(each, types.ModuleType))
        key = (code.co_names, tuple(map(id, dependencies)), len(sys.modules))
        if key not in known:
            known[key] = find(code, dependencies)
        return list(known[key])

    return find_imported_submodules


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
