"""The verdict as TFX and TFMA read it."""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow_model_analysis.proto import validation_result_pb2
from tfx.components.evaluator import constants
from tfx.types import Artifact

from components.evaluator.judge.verdict import is_blessed
from components.layout import VALIDATION_FILE
from components.report.summary import Gate
from components.storage.copies import replaced
from components.storage.files import write_text
from components.storage.uri import join


def bless(blessing: Artifact, verdict: Sequence[Gate], *, model: Artifact, baseline: Artifact | None) -> None:
    """Marks a blessing as TFX's own Evaluator does, so that TFX's Pusher obeys it.

    Args:
      blessing: The artifact to mark.
      verdict: What the candidate had to meet.
      model: The candidate.
      baseline: What it was compared with; None if that is no model at hand.
    """
    blessed = is_blessed(verdict)
    file_name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    write_text(join(blessing.uri, file_name), "")
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if baseline is not None:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)


def write_validation(uri: str, verdict: Sequence[Gate]) -> None:
    """Writes the gates for `tfma.load_validation_result` to the place of TFMA's other results."""
    result = validation_result_pb2.ValidationResult(validation_ok=is_blessed(verdict))
    for gate in verdict:
        if not gate.held:
            _add_failure(result, gate)
    with replaced(join(uri, VALIDATION_FILE)) as file, tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(result.SerializeToString())


def _add_failure(result: validation_result_pb2.ValidationResult, gate: Gate) -> None:
    failures = result.metric_validations_per_slice.add()
    if gate.slice:
        feature, _, value = gate.slice.partition("=")
        failures.slice_key.single_slice_keys.add(column=feature, bytes_value=value.encode())
    failure = failures.failures.add(message=f"{gate.relation} {gate.bound}, measured {gate.measured}")
    failure.metric_key.name = gate.name
    failure.metric_key.model_name = gate.model
    if gate.measured is not None:
        failure.metric_value.double_value.value = gate.measured
