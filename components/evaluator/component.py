"""The Evaluator node."""

import json
from collections.abc import Mapping, Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.artifacts import TeacherPredictions
from components.evaluator import kubeflow_page
from components.evaluator.executor import Executor
from components.evaluator.students import model_key, run_key
from components.settings.data_checks import DriftSettings
from components.settings.evaluation import EvaluationSettings


class EvaluatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of the node, but for the models, of which there may be any number."""

    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "teacher_predictions": component_spec.ChannelParameter(type=TeacherPredictions, optional=True),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        **{key: component_spec.ChannelParameter(type=kind) for key, kind in kubeflow_page.OUTPUTS.items()},
    }
    PARAMETERS = {
        "evaluation_settings": component_spec.ExecutionParameter(type=str),
        "students": component_spec.ExecutionParameter(type=str),
        "levers": component_spec.ExecutionParameter(type=str),
        "drift": component_spec.ExecutionParameter(type=str),
        "versions_directory": component_spec.ExecutionParameter(type=str),
        "incumbent": component_spec.ExecutionParameter(type=str),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures teacher, scratch and the distilled students on the test split, and blesses or not.

    Variants of one distillation are compared on the validation split alone, and only the best of them is
    measured. Its `model` is a copy of the candidate, the distilled student that is best on the validation
    split: Pusher takes one fixed channel, and which student is the candidate is known only after training.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        examples: BaseChannel,
        schema: BaseChannel,
        anomalies: BaseChannel,
        teacher: tuple[BaseChannel, BaseChannel] | None,
        teacher_predictions: BaseChannel | None,
        scratch: tuple[BaseChannel, BaseChannel] | None,
        distillers: Mapping[str, tuple[BaseChannel, BaseChannel]],
        students: Mapping[str, Mapping[str, Mapping[str, float]]],
        evaluation: EvaluationSettings,
        levers: Sequence[str],
        drift: DriftSettings,
        push_directory: str,
        incumbent: str = "",
    ) -> None:
        """Wires the node.

        Args:
          examples: The transformed examples, of which only the test split is read.
          schema: The schema, which holds the class names.
          anomalies: ExampleValidator's output, with the profile of the training images, drift and duplicates.
          teacher: The model and the history of the teacher; None if it is known by its predictions alone.
          teacher_predictions: What the teacher predicts for the training split, and for the test split where
            there is no model; None if nothing is stored.
          scratch: The model and the history of the student trained without a teacher; None where there are
            no labels to train it on.
          distillers: The model and the history that each Distiller has made, by a name.
          students: For each distilled student the names of the Distillers that trained variants of it, with
            the values by which these differ: it is the variant that is best on validation.
          evaluation: What the candidate must reach.
          levers: The keys that can be advised to be changed; see `components.evaluator.judge.advice.advise`.
          drift: From which drift of what the teacher says on it is told.
          push_directory: Where blessed students go, and so where the last one lies.
          incumbent: The version there that the candidate is compared with, or `none`; if it is empty, the
            one that ships when the node runs.
        """
        models = {model_key(name): model for name, (model, _) in distillers.items()}
        runs = {run_key(name): run for name, (_, run) in distillers.items()}
        for name, model_and_run in (("teacher", teacher), ("scratch", scratch)):
            if model_and_run:
                models[name], runs[f"{name}_run"] = model_and_run
        spec_class = _spec_class(models=list(models), runs=list(runs))
        super().__init__(
            spec_class(
                examples=examples,
                schema=schema,
                anomalies=anomalies,
                teacher_predictions=teacher_predictions,
                **models,
                **runs,
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
                model=Channel(type=standard_artifacts.Model),
                **{key: Channel(type=kind) for key, kind in kubeflow_page.OUTPUTS.items()},
                evaluation_settings=evaluation.model_dump_json(),
                students=json.dumps(students),
                levers=json.dumps(levers),
                drift=drift.model_dump_json(),
                versions_directory=push_directory,
                incumbent=incumbent,
            )
        )


def _spec_class(*, models: list[str], runs: list[str]) -> type[EvaluatorSpec]:
    """Makes a specification with one input for each model and each history."""
    inputs = dict(EvaluatorSpec.INPUTS)
    for key in models:
        inputs[key] = component_spec.ChannelParameter(type=standard_artifacts.Model)
    for key in runs:
        inputs[key] = component_spec.ChannelParameter(type=standard_artifacts.ModelRun)
    return type("EvaluatorSpec", (EvaluatorSpec,), {"INPUTS": inputs})
