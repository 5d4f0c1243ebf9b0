"""How TFX's launcher gives nodes their Beam runner.

The options of a pipeline would do, too, but TFX counts them among what decides the cache, and where a node
runs changes nothing of what it makes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from tfx.orchestration.portable import data_types
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.proto.orchestration import execution_result_pb2, placeholder_pb2

from pipeline.beam.options import to_args
from pipeline.beam.probe import probe
from pipeline.beam.reaching import find_flink_version
from pipeline.config.beam import BeamSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """On what Beam's pipelines run.

    Attributes:
      settings: Which engine, and how it is reached.
      root: Where the artifacts go.
    """

    settings: BeamSettings
    root: str

    @functools.cached_property
    def args(self) -> tuple[str, ...]:
        """The options of Beam; when they are first asked for, the engine's workers have to answer.

        Raises:
          InputError: They do not.
        """
        args = to_args(self.settings, flink_version=self._flink_version)
        engine = self.settings.engine
        # Beam's own runner is here, and Dataflow starts machines for minutes, and gives up by itself.
        if engine in ("flink", "spark"):
            probe(args, engine=engine, root=self.root, seconds=self.settings.start_seconds)
        return args

    @property
    def _flink_version(self) -> str | None:
        flink = self.settings.flink
        is_needed = self.settings.engine == "flink" and flink.job_server is None
        return find_flink_version(str(flink.master)) if is_needed else None


def operator_for(engine: Engine) -> type[BeamExecutorOperator]:
    """Makes the operator that runs nodes on an engine, for TFX's launcher.

    Args:
      engine: It is asked for when the first node runs that is not taken from the cache.
    """

    class Operator(BeamExecutorOperator):
        """Runs a node that uses Beam."""

        def run_executor(
            self,
            execution_info: data_types.ExecutionInfo,
            make_beam_pipeline_fn: Callable[[], Any] | None = None,
        ) -> execution_result_pb2.ExecutorOutput:
            """Runs the node."""
            self.beam_pipeline_args = [_literal(argument) for argument in engine.args]
            return super().run_executor(execution_info, make_beam_pipeline_fn)

    return Operator


def _literal(text: str) -> placeholder_pb2.PlaceholderExpression:
    """Puts a text into the form that TFX's operator resolves."""
    expression = placeholder_pb2.PlaceholderExpression()
    expression.value.string_value = text
    return expression
