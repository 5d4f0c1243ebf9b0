"""Runs the Evaluator node."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components.errors import InputError
from components.evaluator.analysis import analyse, read_quality
from components.evaluator.cost import Cost, measure_cost
from components.evaluator.files import EVALUATION_FILE, REPORT_FILE, read_history
from components.evaluator.measures import SCRATCH, TEACHER, Measures, summarise
from components.evaluator.report import render
from components.evaluator.verdict import Verdict, choose_candidate, decide
from components.files import write_json, write_text
from components.schema_gen.schema import class_names
from components.settings import EvaluationSettings
from components.training.export import KERAS_FILE


def model_key(name: str) -> str:
    """Returns the input key of a distilled student's model."""
    return f"student_{name}"


def run_key(name: str) -> str:
    """Returns the input key of a distilled student's history."""
    return f"run_{name}"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Evaluates all models in one pass over the test split."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `evaluation`, the `blessing`, and the candidate as `model`.

        Raises:
          InputError: A model does not fit the classes, or the test split is empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        outputs = {key: artifact_utils.get_single_instance(found) for key, found in output_dict.items()}
        settings = EvaluationSettings.model_validate_json(exec_properties["evaluation_settings"])
        students = json.loads(exec_properties["students"])
        models = {TEACHER: inputs["teacher"], SCRATCH: inputs["scratch"]}
        models |= {name: inputs[model_key(name)] for name in students}
        runs = {TEACHER: inputs["teacher_run"], SCRATCH: inputs["scratch_run"]}
        runs |= {name: inputs[run_key(name)] for name in students}

        classes = _read_classes(inputs["schema"].uri)
        costs = {name: _measure_cost(model.uri, name=name, classes=classes) for name, model in models.items()}
        histories = {name: read_history(run.uri) for name, run in runs.items()}
        measures = self._measure(
            inputs["examples"],
            models=models,
            costs=costs,
            num_classes=len(classes),
            output=outputs["evaluation"].uri,
        )
        verdict = _decide(measures, histories={name: histories[name] for name in students}, settings=settings)
        candidate = models[verdict.candidate]
        io_utils.copy_dir(candidate.uri, outputs["model"].uri)
        _bless(outputs["blessing"], is_blessed=verdict.blessed, model=candidate, baseline=models[SCRATCH])
        evaluation = summarise(measures, verdict=verdict, class_names=classes)
        _write(outputs["evaluation"].uri, evaluation=evaluation, histories=histories)

    def _measure(
        self,
        examples: Artifact,
        *,
        models: Mapping[str, Artifact],
        costs: Mapping[str, Cost],
        num_classes: int,
        output: str,
    ) -> dict[str, Measures]:
        """Runs the one pass over the test split, and nothing else reads that split."""
        split = artifact_utils.get_split_uri([examples], "test")
        with self._make_beam_pipeline() as pipeline:
            analyse(
                pipeline,
                examples=io_utils.all_files_pattern(split),
                models={name: path_utils.serving_model_path(model.uri) for name, model in models.items()},
                baseline=SCRATCH,
                output=output,
            )
        measures = {
            name: Measures(*read_quality(output, model=name, num_classes=num_classes), cost=costs[name])
            for name in models
        }
        if not measures[SCRATCH].overall.examples:
            raise InputError("The test split holds no examples; give it at least one image.")
        return measures


def _read_classes(schema_uri: str) -> tuple[str, ...]:
    path = io_utils.get_only_uri_in_dir(schema_uri)
    return class_names(io_utils.parse_pbtxt_file(path, schema_pb2.Schema()))


def _measure_cost(model_uri: str, *, name: str, classes: Sequence[str]) -> Cost:
    cost = measure_cost(
        keras_file=pathlib.Path(model_uri, KERAS_FILE),
        serving_dir=pathlib.Path(path_utils.serving_model_path(model_uri)),
    )
    if cost.num_outputs != len(classes):
        raise InputError(
            f"The model {name!r} has {cost.num_outputs} outputs, but the data has {len(classes)} classes; "
            f"its last layer must have {len(classes)} units."
        )
    return cost


def _decide(
    measures: Mapping[str, Measures], *, histories: Mapping[str, Any], settings: EvaluationSettings
) -> Verdict:
    """Chooses the candidate on the validation split, and judges it on the test split."""
    candidate = choose_candidate(histories)
    return decide(
        candidate=candidate,
        accuracies={name: measures[name].overall.accuracy for name in (TEACHER, SCRATCH, candidate)},
        cross_entropy=measures[candidate].overall.cross_entropy,
        test_examples=measures[candidate].overall.examples,
        min_accuracy=settings.min_accuracy,
    )


def _bless(blessing: Artifact, *, is_blessed: bool, model: Artifact, baseline: Artifact) -> None:
    """Marks the blessing as TFX's own Evaluator does, so that TFX's Pusher obeys it."""
    file_name = constants.BLESSED_FILE_NAME if is_blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(f"{blessing.uri}/{file_name}", "")
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if is_blessed else constants.NOT_BLESSED_VALUE,
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)


def _write(evaluation_uri: str, *, evaluation: dict[str, Any], histories: Mapping[str, Any]) -> None:
    """Writes the report, and last the numbers, whose presence says that the rest is complete."""
    folder = pathlib.Path(evaluation_uri)
    write_text(folder / REPORT_FILE, render(evaluation | {"histories": histories}))
    write_json(folder / EVALUATION_FILE, evaluation)
