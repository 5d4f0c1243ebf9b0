"""Executor of ExampleGen."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from pydantic import TypeAdapter
from tfx import types
from tfx.components.example_gen import base_example_gen_executor
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.data_checks.descriptors import Descriptors
from components.example_gen import dataset, shards
from components.example_gen.reference import overlap
from components.example_gen.registry import DataSettings, open_source
from components.example_gen.source import Source
from components.example_gen.unlabelled import held_out
from components.layout import (
    DATASET_FILE,
    DESCRIPTORS_DIRECTORY,
    HELD_OUT,
    REFERENCE,
    UNLABELLED,
)
from components.sharding.progress import progress_told
from components.storage.copies import remove_partial
from components.storage.files import read_text, write_text
from components.storage.uri import join
from components.telling import note

DATA_KEY = "data"
FINGERPRINT_KEY = "fingerprint"

_NAME = "ExampleGen"


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Reads a source of images through Beam, one element per shard.

    TFX's own ExampleGens shuffle with random keys while they write. Here each shard is written where
    it is read, so that the same data gives the same bytes.
    """

    def GetInputSourceToExamplePTransform(self) -> Any:
        """Returns the transform that writes shards and gives what became of each."""
        return _write_shards

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the examples of all splits, and `dataset.json` once they are complete.

        Args:
          input_dict: Empty.
          output_dict: `examples`, one artifact.
          exec_properties: `data`, the settings of the data as JSON.

        Raises:
          InputError: The data set is not available, or cannot be used.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        data = TypeAdapter(DataSettings).validate_json(exec_properties[DATA_KEY])
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        examples.split_names = artifact_utils.encode_split_names(list(data.split_names))
        examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)

        source = open_source(data)
        source.prepare()
        for each in source.notes():
            note(each, name=_NAME)
        if source.spans():
            note(f"the spans are {', '.join(map(str, source.spans()))}", name=_NAME)
        outcomes = self._write(source, examples, splits=data.split_names)
        dataset.check(
            outcomes,
            splits=data.split_names,
            max_corrupt_fraction=data.max_corrupt_fraction,
            labels=data.labels,
            labelled_fraction=data.labelled_fraction,
        )
        if data.unlabelled:
            held_out.check_none_held_out(
                Descriptors.of(examples.uri, UNLABELLED),
                held_out=Descriptors.of(examples.uri, *HELD_OUT),
            )
        if data.reference:
            trained_on = [split for split in data.split_names if split not in ("test", REFERENCE)]
            overlap.check_none_trained_on(
                Descriptors.of(examples.uri, REFERENCE), trained_on=Descriptors.of(examples.uri, *trained_on)
            )
        class_names, absent = source.class_names, []
        if data.labels:
            absent = dataset.describe_absent(
                outcomes, class_names=class_names, labelled_fraction=data.labelled_fraction
            )
        for each in absent:
            note(each, name=_NAME)
        description = dataset.describe(
            outcomes, class_names=class_names, notes=[*source.notes(), *absent], spans=source.spans()
        )
        if data.has_unlabelled:
            counts = {split: part["examples"] for split, part in description["splits"].items()}
            note(
                f"{counts['train']:,} training images have a label, {counts[UNLABELLED]:,} have none",
                name=_NAME,
            )
        write_text(join(examples.uri, DATASET_FILE), json.dumps(description, indent=1))

    def _write(
        self, source: Source, examples: types.Artifact, *, splits: Sequence[str]
    ) -> list[shards.Outcome]:
        """Runs the Beam pipeline; its outcomes come back in a file."""
        tasks = []
        descriptors_folder = join(examples.uri, DESCRIPTORS_DIRECTORY)
        for split in splits:
            folder = artifact_utils.get_split_uri([examples], split)
            tasks.extend(
                shards.plan(source, split=split, folder=folder, descriptors_folder=descriptors_folder)
            )
        report = join(self._get_tmp_dir(), "outcomes.json")
        with progress_told([task.path for task in tasks]), self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(tasks)
                | "Write" >> self.GetInputSourceToExamplePTransform()(source)
                | "Gather" >> beam.combiners.ToList()
                | "Report" >> beam.Map(_dump_outcomes, path=report)
            )
        remove_partial(file for task in tasks for file in (task.path, task.descriptors))
        return [shards.Outcome(**outcome) for outcome in json.loads(read_text(report))]


@beam.ptransform_fn
def _write_shards(tasks: beam.PCollection, source: Source) -> beam.PCollection:
    return tasks | beam.Map(shards.write_shard, source=source)


def _dump_outcomes(outcomes: list[shards.Outcome], *, path: str) -> None:
    write_text(path, json.dumps([dataclasses.asdict(outcome) for outcome in outcomes]))
