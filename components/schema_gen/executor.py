"""Executor of SchemaGen."""

from typing import Any

from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.layout import DATASET_FILE, SCHEMA_FILE
from components.schema_gen.schema import infer_schema
from components.storage.artifacts import on_this_machine
from components.storage.files import read_json
from components.storage.uri import join


class Executor(base_executor.BaseExecutor):
    """Infers the schema from the statistics of the training split."""

    @on_this_machine(but=(standard_component_specs.EXAMPLES_KEY,))
    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `schema.pbtxt`.

        Args:
          input_dict: `statistics`, and `examples`, which know the class names.
          output_dict: `schema`.
          exec_properties: Empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        statistics = artifact_utils.get_single_instance(input_dict[standard_component_specs.STATISTICS_KEY])
        class_names = read_json(join(examples.uri, DATASET_FILE))["class_names"]
        schema = infer_schema(
            stats_artifact_utils.load_statistics(statistics, "train").proto(), class_names=class_names
        )
        uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.SCHEMA_KEY])
        io_utils.write_pbtxt_file(f"{uri}/{SCHEMA_FILE}", schema)
