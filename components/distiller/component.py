"""The Distiller node."""

import json

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.artifacts import TeacherPredictions
from components.distiller.executor import Executor
from components.distiller.search import Search
from components.settings.training import TrainingJob


class DistillerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node."""

    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "teacher": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "teacher_predictions": component_spec.ChannelParameter(type=TeacherPredictions, optional=True),
    }
    OUTPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }
    PARAMETERS = {
        "job": component_spec.ExecutionParameter(type=str),
        "distillation": component_spec.ExecutionParameter(type=str),
        "variants": component_spec.ExecutionParameter(type=str, optional=True),
        "may_diverge": component_spec.ExecutionParameter(type=int, optional=True),
        "asks_teacher": component_spec.ExecutionParameter(type=int),
    }


class Distiller(base_component.BaseComponent):
    """Trains a student on its teacher's predictions and on the labels; of several variants the best one."""

    SPEC_CLASS = DistillerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        job: TrainingJob,
        search: Search,
        asks_teacher: bool,
        examples: BaseChannel,
        transform_graph: BaseChannel,
        schema: BaseChannel,
        statistics: BaseChannel,
        teacher: BaseChannel | None,
        teacher_predictions: BaseChannel | None = None,
    ) -> None:
        """Wires the node.

        Args:
          job: The student and how it is trained.
          search: The method and its hyper-parameters; of several variants the worse are stopped early. One
            that is a variant among those of other Distillers may diverge, which does not fail the node.
          asks_teacher: Whether the teacher runs in the training step, on the images that the student sees.
          examples: The transformed examples.
          transform_graph: The graph that transformed them.
          schema: The schema, which holds the class names.
          statistics: The statistics, which hold the number of examples.
          teacher: The teacher; its fingerprint must be that of the predictions. None if it is known by them
            alone.
          teacher_predictions: Its logits for the training split, and for the unlabelled one if there is
            one; None if it runs in the step. If the training and the validation split have no labels, those
            for both, always.
        """
        super().__init__(
            DistillerSpec(
                job=job.model_dump_json(),
                distillation=search.base.model_dump_json(),
                variants=json.dumps(search.values_by_name) if len(search.variants) > 1 else None,
                may_diverge=1 if search.own_values else None,
                asks_teacher=int(asks_teacher),
                examples=examples,
                transform_graph=transform_graph,
                schema=schema,
                statistics=statistics,
                teacher=teacher,
                teacher_predictions=teacher_predictions,
                model=Channel(type=standard_artifacts.Model),
                model_run=Channel(type=standard_artifacts.ModelRun),
            )
        )
