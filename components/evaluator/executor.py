"""Runs the Evaluator node."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.proto import validation_result_pb2
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components.errors import InputError
from components.evaluator import kubeflow_page as kubeflow
from components.evaluator.evaluation import describe
from components.evaluator.incumbent import NO_INCUMBENT, check_incumbent, newest_version, read_class_names
from components.evaluator.judge.evidence import CLASS, INCUMBENT, SCRATCH, TEACHER, Evidence
from components.evaluator.judge.gates import gates
from components.evaluator.judge.verdict import Gate, choose_candidate, is_blessed
from components.evaluator.measure.analysis import IMAGE_SIZE, LABEL, analyse, read_metrics
from components.evaluator.measure.cost import (
    Cost,
    Layer,
    Speed,
    count_keras_multiply_adds,
    count_saved_parameters,
    describe_layers,
    directory_size,
    measuring_speed,
)
from components.evaluator.measure.outcomes import Outcomes, read_disagreements
from components.files import write_json, write_text
from components.layout import (
    EVALUATION_FILE,
    KERAS_FILE,
    OUTCOMES_FILE,
    REPORT_FILE,
    VALIDATION_FILE,
)
from components.models.building import load_model
from components.report.page import render
from components.report.summary import Architectures, Evaluation, History
from components.schema_gen.schema import class_names
from components.settings.evaluation import EvaluationSettings
from components.training.callbacks.history import read_history


def model_key(name: str) -> str:
    """Returns the input key of a distilled student's model."""
    return f"student_{name}"


def run_key(name: str) -> str:
    """Returns the input key of a distilled student's history."""
    return f"run_{name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to be measured: its SavedModel, what it costs, and its layers, if they are known."""

    serving_dir: str
    cost: Cost
    image_shape: tuple[int, int, int]
    layers: tuple[Layer, ...] = ()


class Executor(base_beam_executor.BaseBeamExecutor):
    """Evaluates all models in one pass over the test split."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `evaluation`, the `blessing`, the candidate as `model`, and what Kubeflow's page draws.

        Raises:
          InputError: A model does not fit the classes, a slice is of no feature of the examples, or the test
            split is empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        outputs = {key: artifact_utils.get_single_instance(found) for key, found in output_dict.items()}
        settings = EvaluationSettings.model_validate_json(exec_properties["evaluation_settings"])
        students = json.loads(exec_properties["students"])
        fixed = [TEACHER, SCRATCH] if "scratch" in inputs else [TEACHER]
        models = {name: inputs[name] for name in fixed}
        models |= {name: inputs[model_key(name)] for name in students}
        runs = {name: inputs[f"{name}_run"] for name in fixed}
        runs |= {name: inputs[run_key(name)] for name in students}
        histories = {name: read_history(run.uri) for name, run in runs.items()}
        schema = _read_schema(inputs["schema"].uri)
        slice_features = _slice_features(settings.slices, schema)
        classes = class_names(schema)

        subjects = {name: _examine(model.uri, name=name, classes=classes) for name, model in models.items()}
        image_shape = subjects[students[0]].image_shape
        incumbent, warnings = _find_incumbent(exec_properties, classes=classes, image_shape=image_shape)
        subjects |= incumbent
        serving_dirs = {name: subject.serving_dir for name, subject in subjects.items()}
        with measuring_speed(serving_dirs, image_bytes=math.prod(image_shape)) as measure_speed:
            with self._make_beam_pipeline() as pipeline:
                analyse(
                    pipeline,
                    examples=io_utils.all_files_pattern(
                        artifact_utils.get_split_uri([inputs["examples"]], "test")
                    ),
                    models=serving_dirs,
                    teacher=TEACHER,
                    baseline=fixed[-1],
                    class_names=classes,
                    image_shape=image_shape,
                    slices=settings.slices,
                    slice_features=slice_features,
                    output=outputs["evaluation"].uri,
                )
            evidence = _gather(
                outputs["evaluation"].uri,
                subjects=subjects,
                classes=classes,
                measure_speed=measure_speed,
                confidence=1 - settings.significance_level,
            )
        candidate = choose_candidate({name: histories[name] for name in students})
        verdict = gates(evidence, candidate=candidate, settings=settings)
        io_utils.copy_dir(models[candidate].uri, outputs["model"].uri)
        _bless(outputs["blessing"], verdict, model=models[candidate], baseline=models[fixed[-1]])
        evaluation = describe(
            evidence,
            candidate=candidate,
            gates=verdict,
            architectures=Architectures(
                teacher=subjects[TEACHER].layers, student=subjects[students[0]].layers
            ),
            histories={name: History(**history) for name, history in histories.items()},
            warnings=warnings,
        )
        page = render(evaluation, disagreements=read_disagreements(outputs["evaluation"].uri))
        kubeflow.publish(outputs, evaluation=evaluation, page=page)
        _write(outputs["evaluation"].uri, evaluation=evaluation, page=page, verdict=verdict)


def _read_schema(schema_uri: str) -> schema_pb2.Schema:
    return io_utils.parse_pbtxt_file(io_utils.get_only_uri_in_dir(schema_uri), schema_pb2.Schema())


def _slice_features(slices: Sequence[str], schema: schema_pb2.Schema) -> list[schema_pb2.Feature]:
    """Returns the features that the slices are made of, or says which there are."""
    features = {feature.name: feature for feature in schema.feature}
    known = [name for name in features if name not in ("image", "id", LABEL)]
    if {"height", "width"} <= set(known):
        known.append(IMAGE_SIZE)
    for name in slices:
        if name not in known:
            raise InputError(
                f"evaluation.slices names {name!r}, which the examples do not have; allowed: "
                f"{', '.join(known)}."
            )
    wanted = {*slices, "height", "width"} if IMAGE_SIZE in slices else set(slices)
    return [feature for name, feature in features.items() if name in wanted]


def _examine(model_uri: str, *, name: str, classes: tuple[str, ...]) -> Subject:
    """Looks at a model of this run, and refuses one that does not fit the data."""
    model = load_model(pathlib.Path(model_uri, KERAS_FILE))
    serving_dir = pathlib.Path(path_utils.serving_model_path(model_uri))
    width = model.output_shape[-1]
    if width != len(classes):
        raise InputError(
            f"The model {name!r} has {width} outputs, but the data has {len(classes)} classes; "
            f"its last layer must have {len(classes)} units."
        )
    own_classes = read_class_names(serving_dir)
    if own_classes != classes:
        raise InputError(
            f"The model {name!r} was trained for the classes {', '.join(own_classes)}, but those of the data "
            f"are {', '.join(classes)}, in this order; train it anew."
        )
    cost = Cost(
        parameters=model.count_params(),
        size_bytes=directory_size(serving_dir),
        multiply_adds=count_keras_multiply_adds(model),
    )
    return Subject(
        serving_dir=str(serving_dir),
        cost=cost,
        image_shape=model.input_shape[1:],
        layers=tuple(describe_layers(model)),
    )


def _find_incumbent(
    exec_properties: Mapping[str, Any], *, classes: tuple[str, ...], image_shape: tuple[int, int, int]
) -> tuple[dict[str, Subject], list[str]]:
    """Returns the last pushed student by its name in the comparison, if it can be compared, and warnings."""
    directory = pathlib.Path(exec_properties["push_directory"])
    version = exec_properties["incumbent"] or newest_version(directory) or NO_INCUMBENT
    if version == NO_INCUMBENT:
        return {}, []
    path = directory / version
    try:
        check_incumbent(path, class_names=classes, image_shape=image_shape)
    except InputError as error:
        warning = f"The student that was pushed last, {version}, is left out of the comparison: {error}."
        logging.warning("%s", warning)
        return {}, [warning]
    cost = Cost(
        parameters=count_saved_parameters(str(path)), size_bytes=directory_size(path), multiply_adds=None
    )
    return {INCUMBENT: Subject(serving_dir=str(path), cost=cost, image_shape=image_shape)}, []


def _gather(
    output: str,
    *,
    subjects: Mapping[str, Subject],
    classes: tuple[str, ...],
    measure_speed: Callable[[], dict[str, Speed]],
    confidence: float,
) -> Evidence:
    """Reads what the pass over the test split has left, and has the speed of the models measured."""
    outcomes = Outcomes.read(pathlib.Path(output, OUTCOMES_FILE))
    if not len(outcomes):
        raise InputError("The test split holds no examples; give it at least one image.")
    return Evidence(
        class_names=classes,
        metrics={name: _by_class_name(read_metrics(output, model=name), classes) for name in subjects},
        costs={name: subject.cost for name, subject in subjects.items()},
        speeds=measure_speed(),
        outcomes=outcomes,
        confidence=confidence,
    )


def _by_class_name(
    metrics: dict[Any, dict[str, float]], classes: Sequence[str]
) -> dict[Any, dict[str, float]]:
    """Names the slices of the labels by the classes."""
    return {
        (CLASS, classes[int(key[1])]) if key and key[0] == LABEL else key: value
        for key, value in metrics.items()
    }


def _bless(blessing: Artifact, verdict: Sequence[Gate], *, model: Artifact, baseline: Artifact) -> None:
    """Marks the blessing as TFX's own Evaluator does, so that TFX's Pusher obeys it."""
    blessed = is_blessed(verdict)
    file_name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(f"{blessing.uri}/{file_name}", "")
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)


def _write(evaluation_uri: str, *, evaluation: Evaluation, page: str, verdict: Sequence[Gate]) -> None:
    """Writes the verdict as TFMA has it, the report, and last the numbers, which say that all is complete."""
    folder = pathlib.Path(evaluation_uri)
    _write_validation(folder / VALIDATION_FILE, verdict)
    write_text(folder / REPORT_FILE, page)
    write_json(folder / EVALUATION_FILE, evaluation.model_dump(mode="json"))


def _write_validation(path: pathlib.Path, verdict: Sequence[Gate]) -> None:
    """Writes the gates for `tfma.load_validation_result`."""
    result = validation_result_pb2.ValidationResult(validation_ok=is_blessed(verdict))
    for gate in verdict:
        if gate.held:
            continue
        failures = result.metric_validations_per_slice.add()
        if gate.slice:
            feature, _, value = gate.slice.partition("=")
            failures.slice_key.single_slice_keys.add(column=feature, bytes_value=value.encode())
        failure = failures.failures.add(message=f"{gate.relation} {gate.bound}, measured {gate.measured}")
        failure.metric_key.name = gate.name
        failure.metric_key.model_name = gate.model
        if gate.measured is not None:
            failure.metric_value.double_value.value = gate.measured
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(result.SerializeToString())
