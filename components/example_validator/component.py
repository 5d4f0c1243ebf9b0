"""ExampleValidator: stops the run where the data does not match its schema."""

from tfx import types
from tfx.components.example_validator import component
from tfx.dsl.components.base import executor_spec

from components.example_validator import executor


class ExampleValidator(component.ExampleValidator):
    """TFX's ExampleValidator, whose anomalies are errors."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, *, statistics: types.BaseChannel, schema: types.BaseChannel) -> None:
        """Makes the component.

        Args:
          statistics: StatisticsGen's output; every split is validated.
          schema: SchemaGen's output.
        """
        super().__init__(statistics=statistics, schema=schema)
