"""Executor of ExampleValidator."""

from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.errors import InputError
from components.example_validator.anomalies import describe


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
          exec_properties: As TFX's own.

        Raises:
          InputError: There is an anomaly. All of them are in the log too, since the artifact of a
            node that fails is not kept.
        """
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


def _splits(artifact: types.Artifact) -> list[str]:
    return artifact_utils.decode_split_names(artifact.split_names)


def _load(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{tfx_executor.DEFAULT_FILE_NAME}"
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())
