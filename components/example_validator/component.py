"""ExampleValidator: stops the run where the data does not match its schema."""

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.example_validator import executor
from components.settings.data_checks import DataCheckSettings
from components.settings.training import ClassWeights


class ExampleValidatorSpec(standard_component_specs.ExampleValidatorSpec):
    """That of TFX's own, the weights of the classes, and what drift and duplicates are found by."""

    INPUTS = {
        **standard_component_specs.ExampleValidatorSpec.INPUTS,
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    PARAMETERS = {
        **standard_component_specs.ExampleValidatorSpec.PARAMETERS,
        executor.CLASS_WEIGHTS_KEY: component_spec.ExecutionParameter(type=str),
        executor.CHECKS_KEY: component_spec.ExecutionParameter(type=str),
        executor.VERSIONS_DIRECTORY_KEY: component_spec.ExecutionParameter(type=str),
        executor.INCUMBENT_KEY: component_spec.ExecutionParameter(type=str),
    }


class ExampleValidator(base_component.BaseComponent):
    """TFX's ExampleValidator, whose anomalies are errors, and which knows the names of the classes.

    It also looks for drift and duplicates; its `anomalies` hold `profile.json` and `data_check.json` too.
    """

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        examples: types.BaseChannel,
        checks: DataCheckSettings,
        push_directory: str,
        incumbent: str = "",
        class_weights: ClassWeights | None = None,
        exclude_splits: Sequence[str] = (),
    ) -> None:
        """Makes the component.

        Args:
          statistics: StatisticsGen's output.
          schema: SchemaGen's output.
          examples: ExampleGen's output.
          checks: How much drift is told or stops the run, and what becomes of duplicates.
          push_directory: Where blessed students go, and so where the one that ships lies.
          incumbent: The version there with whose training data that of this run is compared, or `none`; if it
            is empty, the one that ships when the node runs.
          class_weights: With which models are to be trained; the names of the classes are checked.
          exclude_splits: The splits that are not validated.
        """
        super().__init__(
            ExampleValidatorSpec(
                statistics=statistics,
                schema=schema,
                examples=examples,
                exclude_splits=json.dumps(list(exclude_splits)),
                class_weights=json.dumps(class_weights),
                checks=checks.model_dump_json(),
                versions_directory=push_directory,
                incumbent=incumbent,
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
