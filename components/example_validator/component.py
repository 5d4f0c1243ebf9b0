"""ExampleValidator: stops the run where the data does not match its schema."""

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.example_validator import executor
from components.settings.training import ClassWeights


class ExampleValidatorSpec(standard_component_specs.ExampleValidatorSpec):
    """That of TFX's own, and the weights of the classes."""

    PARAMETERS = {
        **standard_component_specs.ExampleValidatorSpec.PARAMETERS,
        executor.CLASS_WEIGHTS_KEY: component_spec.ExecutionParameter(type=str),
    }


class ExampleValidator(base_component.BaseComponent):
    """TFX's ExampleValidator, whose anomalies are errors, and which knows the names of the classes."""

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        class_weights: ClassWeights | None = None,
        exclude_splits: Sequence[str] = (),
    ) -> None:
        """Makes the component.

        Args:
          statistics: StatisticsGen's output.
          schema: SchemaGen's output.
          class_weights: With which models are to be trained; the names of the classes are checked.
          exclude_splits: The splits that are not validated.
        """
        super().__init__(
            ExampleValidatorSpec(
                statistics=statistics,
                schema=schema,
                exclude_splits=json.dumps(list(exclude_splits)),
                class_weights=json.dumps(class_weights),
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
