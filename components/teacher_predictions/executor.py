"""Runs the TeacherPredictions node."""

import json
from typing import Any

from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, artifact_utils

from components.layout import KEPT_SHARDS_DIRECTORY, keras_file
from components.settings.models import ImageSettings
from components.settings.training import Views
from components.storage.uri import join, parent_of
from components.teacher_predictions.predicting import write_predictions
from components.training.adapter import example_files


class Executor(base_beam_executor.BaseBeamExecutor):
    """Stores the teacher's logits for the examples of some splits, shard by shard."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `predictions` of `teacher` for the `splits` of `examples`, each in a directory.

        Of the training images they are those for the `views`, if there are any.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        views = exec_properties.get("views") and Views.model_validate_json(exec_properties["views"])
        uri = artifact_utils.get_single_uri(output_dict["predictions"])
        write_predictions(
            {
                split: example_files(artifact_utils.get_split_uri(input_dict["examples"], split))
                for split in json.loads(exec_properties["splits"])
            },
            teacher_file=keras_file(artifact_utils.get_single_uri(input_dict["teacher"])),
            image_shape=ImageSettings.model_validate_json(exec_properties["image"]).shape,
            views=views or None,
            top_k=exec_properties.get("top_k"),
            uri=uri,
            kept=join(parent_of(parent_of(uri)), KEPT_SHARDS_DIRECTORY),
            make_pipeline=self._make_beam_pipeline,
            report=join(self._get_tmp_dir(), "written.json"),
        )
