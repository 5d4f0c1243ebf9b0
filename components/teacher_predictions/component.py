"""The TeacherPredictions node."""

import json
from collections.abc import Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.artifacts import TeacherPredictions
from components.settings.models import ImageSettings
from components.settings.training import Views
from components.teacher_predictions.executor import Executor


class TeacherPredictionsSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node."""

    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "teacher": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {"predictions": component_spec.ChannelParameter(type=TeacherPredictions)}
    PARAMETERS = {
        "image": component_spec.ExecutionParameter(type=str),
        "splits": component_spec.ExecutionParameter(type=str),
        "views": component_spec.ExecutionParameter(type=str, optional=True),
        "top_k": component_spec.ExecutionParameter(type=int, optional=True),
    }


class TeacherPredictor(base_beam_component.BaseBeamComponent):
    """Runs the teacher once over splits, as a rule the training split alone, and stores its logits.

    With views it runs once over each view of the training images.

    Distillations reuse them in every variant and epoch: changing a distillation's settings never runs
    the teacher again.
    """

    SPEC_CLASS = TeacherPredictionsSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        examples: BaseChannel,
        teacher: BaseChannel,
        image: ImageSettings,
        splits: Sequence[str] = ("train",),
        views: Views | None = None,
        top_k: int | None = None,
    ) -> None:
        """Wires the node.

        Args:
          examples: The transformed examples.
          teacher: The trained teacher.
          image: The size of the images.
          splits: The splits whose examples it runs over.
          views: Of the training images, if they are seen in views.
          top_k: Of how many classes logits are stored one by one; None is of all.
        """
        super().__init__(
            TeacherPredictionsSpec(
                examples=examples,
                teacher=teacher,
                image=image.model_dump_json(),
                splits=json.dumps(list(splits)),
                views=views and views.model_dump_json(),
                top_k=top_k,
                predictions=Channel(type=TeacherPredictions),
            )
        )
