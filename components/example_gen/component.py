"""ExampleGen: from a source of images to tf.Examples in splits."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.example_gen import executor
from components.example_gen.source import SourceSettings


class ExampleGenSpec(component_spec.ComponentSpec):
    """ExampleGen's parameters and output."""

    PARAMETERS = {
        executor.DATA_KEY: component_spec.ExecutionParameter(type=str),
        executor.FINGERPRINT_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Ingests images.

    Its output `examples` holds the splits train, validation and test, unlabelled where there are images
    without labels beside labelled ones, and `dataset.json` with the class names, the number of examples and
    all that was left out.
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, *, data: SourceSettings, fingerprint: str = "") -> None:
        """Makes the component.

        Args:
          data: Which images, and how they are split.
          fingerprint: A hash of what lies behind the source. When it changes, a cached run is not
            used again.
        """
        super().__init__(
            ExampleGenSpec(
                data=data.model_dump_json(),
                fingerprint=fingerprint,
                examples=types.Channel(type=standard_artifacts.Examples),
            )
        )
