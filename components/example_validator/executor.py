"""Executor of ExampleValidator."""

import json
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.data_checks.descriptors import Descriptors
from components.data_checks.identity import DataIdentity, fingerprint
from components.errors import InputError
from components.example_validator.anomalies import describe
from components.example_validator.data_check import check_data
from components.layout import (
    DATA_CHECK_FILE,
    DATASET_FILE,
    IDENTITY_FILE,
    PROFILE_FILE,
)
from components.report.summary import DataSpan
from components.schema_gen.artifact import read_schema
from components.schema_gen.schema import check_class_weights, class_names
from components.serving.versions import Versions
from components.settings.data_checks import DataCheckSettings
from components.storage.artifacts import on_this_machine
from components.storage.files import read_json, write_json
from components.storage.uri import join

CLASS_WEIGHTS_KEY = "class_weights"
EXAMPLES_KEY = "examples"
CHECKS_KEY = "checks"
VERSIONS_DIRECTORY_KEY = "versions_directory"
INCUMBENT_KEY = "incumbent"


class Executor(tfx_executor.Executor):
    """Validates as TFX does, looks for drift and duplicates, and stops the run where something is wrong."""

    @on_this_machine(but=(EXAMPLES_KEY,))
    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        """Writes the anomalies of each split, the profile of the training images, drift and duplicates.

        Which data they are is noted, too.

        Args:
          input_dict: `statistics`, `schema` and `examples`.
          output_dict: `anomalies`.
          exec_properties: As TFX's own, `class_weights` and `checks` as JSON, `versions_directory`, and the
            version there that the data is compared with, `incumbent`.

        Raises:
          InputError: A weight is given for something that is no class, there is an anomaly, or there are
            duplicates that are to be refused. All anomalies are in the log too, since the artifact of a node
            that fails is not kept.
          DriftError: The data has drifted too far.
        """
        weights = json.loads(exec_properties[CLASS_WEIGHTS_KEY])
        names = class_names(
            read_schema(artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY]))
        )
        if isinstance(weights, dict):
            check_class_weights(weights, class_names=names)
        output = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.ANOMALIES_KEY])
        lines = describe({split: _load(artifact, split) for split in _splits(artifact)})
        for line in lines:
            logging.error("Anomaly in %s", line)
        if lines:
            raise InputError(
                f"The data does not match its schema: {'; '.join(lines)}; correct the data and run again."
            )
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        described = {split: Descriptors.of(examples.uri, split) for split in _splits(examples)}
        found = check_data(
            described,
            class_names=names,
            checks=DataCheckSettings.model_validate_json(exec_properties[CHECKS_KEY]),
            versions=Versions(exec_properties[VERSIONS_DIRECTORY_KEY]),
            incumbent=exec_properties[INCUMBENT_KEY],
        )
        write_json(join(artifact.uri, PROFILE_FILE), found.profile.model_dump(mode="json"))
        write_json(join(artifact.uri, DATA_CHECK_FILE), found.check.model_dump(mode="json"))
        identity = DataIdentity(spans=_read_spans(examples), fingerprint=fingerprint(described))
        write_json(join(artifact.uri, IDENTITY_FILE), identity.model_dump(mode="json"))
        return output


def _read_spans(examples: types.Artifact) -> tuple[DataSpan, ...]:
    dataset = read_json(join(examples.uri, DATASET_FILE))
    found = dataset.get("spans", ())  # Examples in the cache of an older version have none.
    return tuple(DataSpan(**span) for span in found)


def _splits(artifact: types.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{tfx_executor.DEFAULT_FILE_NAME}"
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
