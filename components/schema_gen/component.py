"""SchemaGen: what an example must look like, class names included."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.schema_gen import executor


class SchemaGenSpec(component_spec.ComponentSpec):
    """SchemaGen's inputs and output."""

    PARAMETERS = {}
    INPUTS = {
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }


class SchemaGen(base_component.BaseComponent):
    """Infers a schema that bounds the label and carries the names of the classes.

    TFX's own SchemaGen cannot: the names are with the examples, not in their statistics.
    """

    SPEC_CLASS = SchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, *, statistics: types.BaseChannel, examples: types.BaseChannel) -> None:
        """Makes the component.

        Args:
          statistics: StatisticsGen's output.
          examples: ExampleGen's output.
        """
        super().__init__(
            SchemaGenSpec(
                statistics=statistics,
                examples=examples,
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
