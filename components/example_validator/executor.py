"""Executor of ExampleValidator."""

import json
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.example_validator import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.errors import InputError
from components.example_validator.anomalies import describe
from components.schema_gen.schema import check_class_weights, class_names

CLASS_WEIGHTS_KEY = "class_weights"


class Executor(tfx_executor.Executor):
    """Validates as TFX does, and stops the run where something is wrong."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        """Writes the anomalies of each split.

        Args:
          input_dict: `statistics` and `schema`.
          output_dict: `anomalies`.
          exec_properties: As TFX's own, and `class_weights` as JSON.

        Raises:
          InputError: A weight is given for something that is no class, or there is an anomaly. All of them
            are in the log too, since the artifact of a node that fails is not kept.
        """
        weights = json.loads(exec_properties[CLASS_WEIGHTS_KEY])
        if isinstance(weights, dict):
            schema = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
            check_class_weights(weights, class_names=class_names(_read_schema(schema)))
        output = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.ANOMALIES_KEY])
        lines = describe({split: _load(artifact, split) for split in _splits(artifact)})
        for line in lines:
            logging.error("Anomaly in %s", line)
        if lines:
            raise InputError(
                f"The data does not match its schema: {'; '.join(lines)}; correct the data and run again."
            )
        return output


def _read_schema(uri: str) -> schema_pb2.Schema:
    return io_utils.parse_pbtxt_file(io_utils.get_only_uri_in_dir(uri), schema_pb2.Schema())


def _splits(artifact: types.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{tfx_executor.DEFAULT_FILE_NAME}"
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
