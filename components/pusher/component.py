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
        "teacher": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "teacher_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}
    PARAMETERS = {
        "push": component_spec.ExecutionParameter(type=str),
        "incumbent": component_spec.ExecutionParameter(type=str),
        "run": component_spec.ExecutionParameter(type=str),
    }


class Pusher(base_component.BaseComponent):
    """Pushes a blessed student to a directory of versions, and notes there what ships and why.

    Unlike TFX's own, it never shows a version that is not whole, and its numbers only grow. Where TFX does
    not know the id of the run, the platform puts it into the parameter `run`.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: BaseChannel,
        model_blessing: BaseChannel,
        evaluation: BaseChannel,
        push: PushSettings,
        incumbent: str = "",
        teacher: BaseChannel | None = None,
        teacher_run: BaseChannel | None = None,
    ) -> None:
        """Wires the node.

        Args:
          model: The candidate.
          model_blessing: Whether it may ship.
          evaluation: What it is known by.
          push: Where it goes; the directory is given.
          incumbent: The version there that the candidate was compared with, or `none`; if another ships when
            it is to be pushed, that fails. If it is empty, the evaluation says which.
          teacher: That of the run, if it is to be kept for later ones.
          teacher_run: Its history.
        """
        super().__init__(
            PusherSpec(
                model=model,
                model_blessing=model_blessing,
                evaluation=evaluation,
                push=push.model_dump_json(),
                incumbent=incumbent,
                run="",
                teacher=teacher,
                teacher_run=teacher_run,
                pushed_model=Channel(type=standard_artifacts.PushedModel),
            )
        )
