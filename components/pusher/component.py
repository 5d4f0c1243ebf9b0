"""The Pusher node."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.pusher.executor import Executor
from components.settings.evaluation import PushSettings


class PusherSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node."""

    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}
    PARAMETERS = {"push": component_spec.ExecutionParameter(type=str)}


class Pusher(base_component.BaseComponent):
    """Pushes a blessed student to a directory of versions, and notes there what ships and why.

    Unlike TFX's own, it never shows a version that is not whole, and its numbers only grow.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, *, model: BaseChannel, model_blessing: BaseChannel, evaluation: BaseChannel, push: PushSettings
    ) -> None:
        """Wires the node.

        Args:
          model: The candidate.
          model_blessing: Whether it may ship.
          evaluation: What it is known by.
          push: Where it goes; the directory is given.
        """
        super().__init__(
            PusherSpec(
                model=model,
                model_blessing=model_blessing,
                evaluation=evaluation,
                push=push.model_dump_json(),
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
