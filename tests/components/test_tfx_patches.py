import contextlib
import gc
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, WorkerOptions
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms import core, userstate
from tfx.components.transform import executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.portable import launcher
from tfx.utils import dependency_utils

from components import tfx_patches


class Launcher(launcher.Launcher):
    """Stands in for TFX's."""


class Stateful(beam.DoFn):
    """Has a state and a timer, and asks for the window in another method."""

    COUNT = userstate.CombiningValueStateSpec("count", combine_fn=sum)
    END = userstate.TimerSpec("end", beam.TimeDomain.WATERMARK)

    def process(
        self,
        element: Any,
        count: Any = beam.DoFn.StateParam(COUNT),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> Iterator[Any]:
        yield element

    @userstate.on_timer(END)
    def at_the_end(self, window: Any = beam.DoFn.WindowParam) -> None:
        """Does nothing."""


class Stateless(Stateful):
    """Has overwritten what had a state."""

    def process(self, element: Any, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:  # type: ignore[override]
        yield element


def _what_repeats() -> list[Any]:
    return [
        PipelineOptions.view_as,
        core.get_function_args_defaults,
        userstate.get_dofn_specs,
        cloudpickle._find_imported_submodules,
        worker_handlers.STATE_CACHE_SIZE_MB,
    ]


Patch = tuple[Callable[[], contextlib.AbstractContextManager[None]], Callable[[], Any]]


@pytest.fixture(
    params=[
        "launcher",
        "direct_runner",
        "no_packing",
        "loopback_workers",
        "no_repetition",
        "artifact_types",
    ]
)
def patch(request: pytest.FixtureRequest) -> Patch:
    """A patch, and what it replaces."""
    patches: dict[str, Patch] = {
        "launcher": (lambda: tfx_patches.launcher(Launcher), lambda: launcher.Launcher),
        "direct_runner": (
            tfx_patches.direct_runner,
            lambda: SwitchingDirectRunner._is_interactive,
        ),
        "no_packing": (tfx_patches.no_packing, lambda: dependency_utils.make_beam_dependency_flags),
        "loopback_workers": (
            tfx_patches.loopback_workers,
            lambda: BeamFnExternalWorkerPoolServicer.StopWorker,
        ),
        "no_repetition": (tfx_patches.no_repetition, _what_repeats),
        "artifact_types": (tfx_patches.artifact_types, lambda: dict(compiler_utils.TITLE_TO_CLASS_PATH)),
    }
    return patches[request.param]


def test_a_patch_is_undone(patch: Patch) -> None:
    apply, look = patch
    before = look()

    with apply():
        assert look() != before

    assert look() == before


def test_a_patch_is_undone_when_what_it_is_for_fails(patch: Patch) -> None:
    apply, look = patch
    before = look()

    with pytest.raises(KeyError), apply():
        raise KeyError

    assert look() == before


def test_tfx_s_entry_point_finds_our_artifacts_and_its_own() -> None:
    with tfx_patches.artifact_types():
        known = dict(compiler_utils.TITLE_TO_CLASS_PATH)

    assert known["distillation.TeacherPredictions"] == "components.artifacts.TeacherPredictions"
    assert known["tfx.Examples"] == "tfx.types.standard_artifacts.Examples"


def test_a_node_hands_beam_its_options_and_no_package_of_tfx() -> None:
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--direct_running_mode=in_memory"])

    with tfx_patches.no_packing():
        node = executor.Executor(context)

    assert node._beam_pipeline_args[0] == "--direct_running_mode=in_memory"
    assert not any("package" in argument for argument in node._beam_pipeline_args)
    assert context.beam_pipeline_args == ["--direct_running_mode=in_memory"]


@pytest.mark.parametrize(
    "dofn",
    [Stateful(), Stateless(), core.CallableWrapperDoFn(Stateful().process), core.CallableWrapperDoFn(len)],
    ids=["stateful", "overwritten", "a method as a function", "a built-in function"],
)
def test_what_is_remembered_of_a_function_is_what_beam_finds(dofn: beam.DoFn) -> None:
    arguments, specs = core.get_function_arguments(dofn, "process"), userstate.get_dofn_specs(dofn)

    with tfx_patches.no_repetition():
        for _ in range(2):
            assert core.get_function_arguments(dofn, "process") == arguments
            assert userstate.get_dofn_specs(dofn) == specs


def test_a_function_and_the_same_as_a_method_are_told_apart() -> None:
    with tfx_patches.no_repetition():
        assert core.get_function_args_defaults(Stateful.process)[0] == ["self", "element", "count", "end"]
        assert core.get_function_args_defaults(Stateful().process)[0] == ["element", "count", "end"]


def test_callables_of_one_class_do_not_share_their_states() -> None:
    with tfx_patches.no_repetition():
        assert not userstate.get_dofn_specs(core.CallableWrapperDoFn(len))[0]
        assert userstate.get_dofn_specs(core.CallableWrapperDoFn(Stateful().process))[0] == {Stateful.COUNT}


def test_what_is_remembered_keeps_nothing_alive() -> None:
    with tfx_patches.no_repetition():

        class Local(Stateless):
            """Is made in a function."""

        gone = weakref.ref(Local)
        userstate.get_dofn_specs(Local())
        core.get_function_arguments(Local(), "process")
        del Local
        gc.collect()

        assert gone() is None


def test_views_of_one_pipeline_s_options_share_values_and_no_others_do() -> None:
    flags = ["--experiments=first", "--num_workers=3"]
    with tfx_patches.no_repetition():
        one, other = PipelineOptions(flags), PipelineOptions(flags)
        one.view_as(DebugOptions).add_experiment("second")
        one.view_as(WorkerOptions).disk_size_gb = 7

        assert one.view_as(DebugOptions).experiments == ["first", "second"]
        assert one.view_as(WorkerOptions).disk_size_gb == 7
        assert one.view_as(WorkerOptions).num_workers == 3
        assert other.view_as(DebugOptions).experiments == ["first"]
        assert other.view_as(WorkerOptions).disk_size_gb is None


def test_a_submodule_is_found_once_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    package, part = types.ModuleType("package_of_this_test"), types.ModuleType("package_of_this_test.part")
    package.__package__ = package.__name__
    code = compile("package_of_this_test.part", "<test>", "eval")
    with tfx_patches.no_repetition():
        assert cloudpickle._find_imported_submodules(code, [package]) == []
        monkeypatch.setitem(sys.modules, part.__name__, part)
        assert cloudpickle._find_imported_submodules(code, [package]) == [part]


def test_a_pipeline_gives_the_same_result_from_memory() -> None:
    with tfx_patches.no_repetition(), tfx_patches.direct_runner():
        for _ in range(2):
            with beam.Pipeline(options=PipelineOptions(["--direct_running_mode=in_memory"])) as pipeline:
                numbers = pipeline | beam.Create(range(10))
                side = beam.pvalue.AsList(numbers)
                sums = (
                    numbers
                    | beam.Map(lambda number, all_: number * len(all_), side)
                    | beam.CombineGlobally(sum)
                )
                _ = sums | beam.Map(_is_450)


def _is_450(number: int) -> None:
    assert number == 450


def test_beam_makes_its_client_of_s3_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from apache_beam.io.filesystems import FileSystems

    FileSystems.set_options(PipelineOptions([]))
    made = []
    make = boto3.session.Session.client
    monkeypatch.setattr(
        boto3.session.Session, "client", lambda self, **given: made.append(given) or make(self, **given)
    )
    with tfx_patches.one_s3_client():
        for number in range(3):
            with FileSystems.create(f"{bucket}/{number}") as file:
                file.write(bytes([number]))
        contents = [FileSystems.open(f"{bucket}/{number}").read() for number in range(3)]
    assert contents == [b"\0", b"\1", b"\2"]
    assert len(made) == 1
    assert FileSystems.exists(f"{bucket}/0")
    assert len(made) == 2
