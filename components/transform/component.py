"""Transform: TFX's own, which writes each shard by itself."""

import tfx.components
from tfx.dsl.components.base import executor_spec

from components.transform import executor


class Transform(tfx.components.Transform):
    """TFX's Transform with this project's executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
