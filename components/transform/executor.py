"""Runs the Transform node."""

import functools
from typing import Any

from tfx.components.transform import executor, executor_utils
from tfx.types import Artifact, artifact_utils, standard_component_specs

from components.sharding.shards import Shard, write_shards
from components.storage.copies import written_back
from components.storage.files import file_names
from components.storage.uri import join
from components.transform.shard_writer import ShardWriter, transformed_name

_EXAMPLES = standard_component_specs.EXAMPLES_KEY
_GRAPH = standard_component_specs.TRANSFORM_GRAPH_KEY
_TRANSFORMED = standard_component_specs.TRANSFORMED_EXAMPLES_KEY


class Executor(executor.Executor):
    """TFX's Transform, except that it writes each shard of examples by itself, and does not compress it.

    What becomes of an image depends on no other: TFX makes the graph without looking at the examples, and
    Beam's workers apply it. TFX's own leaves the order of what it writes to Beam.

    Of photographs compression saves little, and every pass over them, each epoch of each model, would
    have to inflate them again.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the transform graph and, with it, a file of transformed examples for each of `examples`."""
        graph = artifact_utils.get_single_instance(output_dict[_GRAPH])
        with written_back(graph.uri) as directory:
            here = type(graph)()
            here.uri = str(directory)
            super().Do(input_dict, {_GRAPH: [here]}, exec_properties)

        splits = executor_utils.ResolveSplitsConfig(
            exec_properties.get(standard_component_specs.SPLITS_CONFIG_KEY), input_dict[_EXAMPLES]
        ).transform
        executor_utils.SetSplitNames(splits, output_dict[_TRANSFORMED])
        shards: list[Shard] = []
        for split in splits:
            source = artifact_utils.get_split_uri(input_dict[_EXAMPLES], split)
            target = artifact_utils.get_split_uri(output_dict[_TRANSFORMED], split)
            shards += (
                Shard(source=join(source, name), target=join(target, transformed_name(name)))
                for name in file_names(source)
                if not name.startswith(".")
            )
        write_shards(
            shards,
            open_writer=functools.partial(ShardWriter, graph.uri),
            make_pipeline=self._make_beam_pipeline,
            report=join(self._get_tmp_dir(), "written.json"),
        )
