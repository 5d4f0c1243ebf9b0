import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from tfx.components.transform import executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.portable import launcher
from tfx.utils import dependency_utils

from components import tfx_patches


class Processor(executor.TransformProcessor):
    """Stands in for TFX's."""


class Launcher(launcher.Launcher):
    """Stands in for TFX's."""


Patch = tuple[Callable[[], contextlib.AbstractContextManager[None]], Callable[[], Any]]


@pytest.fixture(params=["transform_processor", "launcher", "direct_runner", "no_packing", "artifact_types"])
def patch(request: pytest.FixtureRequest) -> Patch:
    """A patch, and what it replaces."""
    patches: dict[str, Patch] = {
        "transform_processor": (
            lambda: tfx_patches.transform_processor(Processor),
            lambda: executor.TransformProcessor,
        ),
        "launcher": (lambda: tfx_patches.launcher(Launcher), lambda: launcher.Launcher),
        "direct_runner": (
            tfx_patches.direct_runner,
            lambda: SwitchingDirectRunner._is_interactive,
        ),
        "no_packing": (tfx_patches.no_packing, lambda: dependency_utils.make_beam_dependency_flags),
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
