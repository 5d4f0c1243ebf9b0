"""Runs the Transform node."""

from typing import Any

import apache_beam as beam
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.transform import executor
from tfx.types import Artifact

from components import tfx_patches


class Executor(executor.Executor):
    """TFX's Transform, except that what it writes is not compressed.

    Of photographs compression saves little, and every pass over them, each epoch of each model, would have
    to inflate them again.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the transform graph and the transformed examples, as plain TFRecord files."""
        with tfx_patches.transform_processor(_Processor):
            super().Do(input_dict, output_dict, exec_properties)


class _Processor(executor.TransformProcessor):
    @staticmethod
    @beam.ptransform_fn
    @beam.typehints.with_input_types(tuple[pa.RecordBatch, dict[str, pa.Array]])
    def _EncodeAndWrite(
        pcoll: beam.PCollection, schema: schema_pb2.Schema, file_format: str, output_path: str
    ) -> beam.pvalue.PDone:
        """Writes the examples of a split; the format is TFRecord, as ExampleGen's is."""
        del file_format
        return (
            pcoll
            | "EncodeAndSerialize" >> beam.ParDo(_Processor._RecordBatchToExamplesFn(schema))
            | "ExtractExamples" >> beam.Values()
            | "WriteToTFRecord" >> beam.io.WriteToTFRecord(output_path)
        )
