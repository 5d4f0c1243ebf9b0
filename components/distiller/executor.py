"""Runs the Distiller node."""

import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils

from components.distiller.halving import Epochs, halve
from components.distiller.methods.base import Method, SoftMethod
from components.distiller.objective import Distillation
from components.distiller.registry import DistillationSettings
from components.distiller.trials import Trial, all_diverged, write_trials
from components.files import fingerprint_all
from components.layout import UNLABELLED, keras_file, predictions_directory
from components.models.building import load_model
from components.report.wording import percent
from components.settings.training import TrainingJob
from components.storage.artifacts import on_this_machine
from components.teacher_predictions.store import (
    fingerprint_teacher,
    open_predictions,
    read_logits,
    read_top_k,
    views_of,
)
from components.telling import tell
from components.training.adapter import Aim, Artifacts, Predictions, Prepared, example_files, prepare
from components.training.inputs.batches import ordered_batches
from components.training.inputs.stored_logits import leaves_out
from components.training.online_teacher import OnlineTeacher


class Executor(base_executor.BaseExecutor):
    """Distils a student from stored predictions, or from the teacher in the training step."""

    @on_this_machine()
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `model` and the `model_run` of the student; of several variants those of the best.

        The only variant of a node may diverge: then the `model` holds a note of that instead.

        Raises:
          DivergenceError: The training of a student that is no variant diverged.
          InputError: The predictions are not of this teacher or not of these examples, or the layers that the
            method compares are not there or cannot be compared; or all of several variants diverged.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        job = TrainingJob.model_validate_json(exec_properties["job"])
        method: Method = TypeAdapter(DistillationSettings).validate_json(exec_properties["distillation"])
        teacher_file = keras_file(inputs["teacher"].uri) if "teacher" in inputs else None
        teacher = fingerprint_teacher(teacher_file) if teacher_file else None
        artifacts = _artifacts(inputs, output_dict)
        online = teacher_file if exec_properties["asks_teacher"] else None
        predictions = _open_predictions(job, inputs, artifacts=artifacts, teacher=teacher)
        prepared = prepare(job, artifacts, predictions=predictions)
        logits = (
            read_logits(predictions["train"], num_classes=len(prepared.data.class_names))
            if teacher_file is None or predictions
            else _ask(teacher_file, job=job, examples=example_files(artifacts.training_uri))
        )

        def aim(variant: Method) -> Aim:
            return Aim(
                objective=Distillation(variant, label_smoothing=job.model.label_smoothing),
                identity={
                    "distillation": variant.model_dump_json(),
                    "distillation code": fingerprint_method(variant),
                    "teacher": teacher or "known by its predictions",
                    "teacher in the step": str(online is not None),
                },
                teacher=OnlineTeacher(keras_file=online, layers=variant.layers) if online else None,
            )

        top_k = _stored_top_k(inputs) if predictions and not online else None

        def tell_what_is_learnt(variant: Method) -> None:
            warn_if_nothing_is_learnt(variant, logits, name=job.name)
            if top_k is not None and leaves_out(top_k, num_classes=logits.shape[-1]):
                tell_what_is_spread(variant, logits, top_k=top_k, name=job.name)

        values = json.loads(exec_properties.get("variants") or "{}")
        if not values:
            tell_what_is_learnt(method)
            if exec_properties.get("may_diverge"):
                prepared.train_variant(aim(method))
            else:
                prepared.train(aim(method))
            return
        variants = [method.model_copy(update=changes | {"name": name}) for name, changes in values.items()]
        for variant in variants:
            tell_what_is_learnt(variant)
        _search(prepared, variants, values=values, aim=aim)


def _search(
    prepared: Prepared,
    variants: Sequence[Method],
    *,
    values: Mapping[str, Mapping[str, float]],
    aim: Callable[[Method], Aim],
) -> None:
    """Trains the best of several variants to its end, and notes what became of each."""
    trials: dict[str, Trial] = {}

    def train(variant: Method, epochs: range) -> Epochs | None:
        name = variant.name
        if name not in trials or len(trials[name].history["epochs"]) < epochs.stop:
            history, divergence = prepared.train_some(epochs, aim=aim(variant), phase=name)
            trials[name] = Trial(values[name], history, divergence)
        return None if trials[name].divergence else trials[name].history["epochs"]

    epochs = prepared.job.model.epochs
    winner = halve(variants, epochs=epochs, train=train, name=prepared.job.name)
    tried = [trials[each.name] for each in variants]
    if winner is None:
        raise all_diverged(tried, name=prepared.job.name)
    # All of its epochs are finished: what is left to do is to write it.
    prepared.train(aim(winner), phase=winner.name, epochs=range(epochs, epochs))
    write_trials(prepared.artifacts.model_run_uri, tried)


def fingerprint_method(method: Method) -> str:
    """Returns a hash over the code that decides what a method asks of a student; not that of other methods.

    Args:
      method: The method.
    """
    kinds: list[type] = [kind for kind in type(method).__mro__ if issubclass(kind, Method)]
    return fingerprint_all(sorted({inspect.getfile(kind) for kind in [*kinds, Distillation]}))


def _artifacts(inputs: Mapping[str, Artifact], output_dict: dict[str, list[Artifact]]) -> Artifacts:
    return Artifacts(
        training_uri=artifact_utils.get_split_uri([inputs["examples"]], "train"),
        validation_uri=artifact_utils.get_split_uri([inputs["examples"]], "validation"),
        unlabelled_uri=_unlabelled_uri(inputs["examples"]),
        num_examples=_count_examples(inputs["statistics"]),
        schema_file=io_utils.get_only_uri_in_dir(inputs["schema"].uri),
        transform_graph=inputs["transform_graph"].uri,
        model_uri=artifact_utils.get_single_uri(output_dict["model"]),
        model_run_uri=artifact_utils.get_single_uri(output_dict["model_run"]),
    )


def _unlabelled_uri(examples: Artifact) -> str | None:
    """Returns where the examples without labels lie; None if there are none beside labelled ones."""
    if UNLABELLED not in artifact_utils.decode_split_names(examples.split_names):
        return None
    uri: str = artifact_utils.get_split_uri([examples], UNLABELLED)
    return uri


def _count_examples(statistics: Artifact) -> dict[str, int]:
    """Returns the number of examples in each split."""
    splits = artifact_utils.decode_split_names(statistics.split_names)
    return {
        split: stats_artifact_utils.load_statistics(statistics, split).proto().datasets[0].num_examples
        for split in splits
    }


def _open_predictions(
    job: TrainingJob, inputs: Mapping[str, Artifact], *, artifacts: Artifacts, teacher: str | None
) -> Predictions:
    """Returns the files of the teacher's predictions for each split that needs them; none if not stored."""
    if "teacher_predictions" not in inputs:
        return {}
    examples = {"train": artifacts.training_uri}
    if artifacts.unlabelled_uri:
        examples[UNLABELLED] = artifacts.unlabelled_uri
    if not job.labels:
        examples["validation"] = artifacts.validation_uri
    return {
        split: open_predictions(
            predictions_directory(inputs["teacher_predictions"].uri, split),
            teacher_fingerprint=teacher,
            num_examples=artifacts.num_examples[split],
            example_files=example_files(uri),
            views=views_of(split, job.views),
        )
        for split, uri in examples.items()
    }


def _ask(teacher_file: str, *, job: TrainingJob, examples: Sequence[str]) -> np.ndarray:
    """Returns the teacher's logits for a few examples, `[examples, num_classes]`."""
    batches = ordered_batches(examples, image_shape=job.image.shape, batch_size=job.model.batch_size)
    images, _ = next(iter(batches))
    return keras.ops.convert_to_numpy(load_model(teacher_file)(images, training=False))


def _stored_top_k(inputs: Mapping[str, Artifact]) -> int | None:
    """Returns of how many classes the teacher's logits are stored one by one; None is of all."""
    return read_top_k(predictions_directory(inputs["teacher_predictions"].uri, "train"))


def tell_what_is_spread(method: Method, teacher_logits: np.ndarray, *, top_k: int, name: str) -> None:
    """Tells the user how much of the teacher's probability is spread evenly over unlikely classes.

    Args:
      method: The method of distillation; of one without a temperature nothing is told.
      teacher_logits: The teacher's logits for some examples as they were stored, `[examples, num_classes]`.
      top_k: Of how many classes they were stored one by one.
      name: How to call the student in messages.
    """
    if not isinstance(method, SoftMethod):
        return
    softened = np.exp(keras.ops.convert_to_numpy(method.soften(keras.ops.convert_to_tensor(teacher_logits))))
    spread = float(np.sort(softened, axis=-1)[:, :-top_k].sum(axis=-1).mean())
    tell(
        f"learns {percent(spread)} of its teacher's probability, at temperature {method.temperature:g}, "
        f"spread evenly over the classes beyond the {top_k} most likely",
        name=name,
    )


def warn_if_nothing_is_learnt(method: Method, teacher_logits: np.ndarray, *, name: str) -> None:
    """Tells the user if there is nothing to learn from the teacher.

    Args:
      method: The method of distillation.
      teacher_logits: The teacher's logits for some examples, `[examples, num_classes]`.
      name: How to call the student in messages.
    """
    problem = method.find_problem(teacher_logits)
    if problem:
        tell(f"learns nothing from its teacher: {problem}", name=name, level=logging.WARNING)
