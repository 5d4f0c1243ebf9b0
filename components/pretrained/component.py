"""The nodes of teachers that are not trained here."""

import json
from collections.abc import Iterable, Mapping

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.artifacts import TeacherPredictions
from components.pretrained.executor import AverageExecutor, ImportExecutor, PredictionsExecutor, member_key
from components.settings.models import ImageSettings, PredictionsImport, TeacherImport

_INPUTS = {
    "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
}
_OUTPUTS = {
    "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
}


class TeacherImporterSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node that imports a pretrained teacher."""

    INPUTS = _INPUTS
    OUTPUTS = _OUTPUTS
    PARAMETERS = {"teacher_import": component_spec.ExecutionParameter(type=str)}


class TeacherImporter(base_component.BaseComponent):
    """Checks and adapts a pretrained teacher."""

    SPEC_CLASS = TeacherImporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ImportExecutor)

    def __init__(
        self, *, teacher_import: TeacherImport, transform_graph: BaseChannel, schema: BaseChannel
    ) -> None:
        """Wires the node.

        Args:
          teacher_import: Where the teacher lies and what it takes and returns.
          transform_graph: The graph that transforms the examples.
          schema: The schema, which holds the class names.
        """
        super().__init__(
            TeacherImporterSpec(
                teacher_import=teacher_import.model_dump_json(),
                transform_graph=transform_graph,
                schema=schema,
                model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
            )
        )


class TeacherAveragerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node that averages, but for the teachers, whose number varies."""

    INPUTS = _INPUTS
    OUTPUTS = _OUTPUTS
    PARAMETERS = {
        "teachers": component_spec.ExecutionParameter(type=str),
        "image": component_spec.ExecutionParameter(type=str),
    }


class TeacherAverager(base_component.BaseComponent):
    """Makes one teacher of several, by the mean of their probabilities."""

    SPEC_CLASS = TeacherAveragerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(AverageExecutor)

    def __init__(
        self,
        *,
        teachers: Mapping[str, BaseChannel],
        image: ImageSettings,
        transform_graph: BaseChannel,
        schema: BaseChannel,
    ) -> None:
        """Wires the node.

        Args:
          teachers: The model of each teacher, by the id of its node.
          image: The size of the images.
          transform_graph: The graph that transforms the examples.
          schema: The schema, which holds the class names.
        """
        members = {member_key(name): model for name, model in teachers.items()}
        super().__init__(
            _averager_spec(members)(
                teachers=json.dumps(list(teachers)),
                image=image.model_dump_json(),
                transform_graph=transform_graph,
                schema=schema,
                model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
                **members,
            )
        )


class PredictionsImporterSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node that stores what an outside teacher predicts."""

    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"predictions": component_spec.ChannelParameter(type=TeacherPredictions)}
    PARAMETERS = {"predictions_import": component_spec.ExecutionParameter(type=str)}


class PredictionsImporter(base_component.BaseComponent):
    """Stores what an outside teacher predicts for the examples of every split.

    It is the node `TeacherPredictions` of a run without a node `Teacher`: the Evaluator, too, knows such a
    teacher by these predictions.
    """

    SPEC_CLASS = PredictionsImporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PredictionsExecutor)

    def __init__(
        self, *, predictions_import: PredictionsImport, examples: BaseChannel, schema: BaseChannel
    ) -> None:
        """Wires the node.

        Args:
          predictions_import: Who predicts, for images of which size.
          examples: The transformed examples.
          schema: The schema, which holds the class names.
        """
        super().__init__(
            PredictionsImporterSpec(
                predictions_import=predictions_import.model_dump_json(),
                examples=examples,
                schema=schema,
                predictions=Channel(type=TeacherPredictions),
            )
        )


def _averager_spec(members: Iterable[str]) -> type[TeacherAveragerSpec]:
    """Makes a specification with one input for each teacher."""
    inputs = dict(TeacherAveragerSpec.INPUTS)
    for key in members:
        inputs[key] = component_spec.ChannelParameter(type=standard_artifacts.Model)
    return type("TeacherAveragerSpec", (TeacherAveragerSpec,), {"INPUTS": inputs})
