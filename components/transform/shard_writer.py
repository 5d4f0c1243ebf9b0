"""Transforms the examples of a shard, in their order."""

import re
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio.tensor_to_arrow import TensorsToRecordBatchConverter

from components.reading import untuned
from components.sharding.ahead import map_ahead
from components.storage.copies import local_copy

# Examples that are transformed in one call, and how many calls go on at once: photographs, which are large
# while they are decoded, want few, and the time that a call costs beside its work is small for as many.
_BATCH = 64
_THREADS = 2
_READ_BYTES = 2**20

# What ExampleGen calls a shard: its number, and that of all.
_NUMBER = re.compile(r"-\d+-of-\d+")


def transformed_name(examples_name: str) -> str:
    """Returns what the file of transformed examples is called, after that of the examples.

    Args:
      examples_name: Such as `data_tfrecord-00000-of-00008.gz`.

    Returns:
      As Transform of TFX calls it, such as `transformed_examples-00000-of-00008`.
    """
    (number,) = _NUMBER.findall(examples_name)
    return f"transformed_examples{number}"


class ShardWriter:
    """Applies a transform graph to compressed examples, and writes what it makes of them uncompressed.

    Args:
      transform_graph: Path or URI of the directory that TFX's Transform writes.
    """

    def __init__(self, transform_graph: str) -> None:
        output = tft.TFTransformOutput(str(local_copy(transform_graph)))
        specification, transform = output.raw_feature_spec(), output.transform_features_layer()
        self._transform = tf.function(
            lambda records: transform(tf.io.parse_example(records, specification)),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )
        self._to_arrow = TensorsToRecordBatchConverter(
            {
                name: tf.TensorSpec([None], each.dtype)
                for name, each in output.transformed_feature_spec().items()
            }
        )
        self._encoder = RecordBatchToExamplesEncoder(output.transformed_metadata.schema)

    def write(self, source: str, target: str) -> int:
        """Writes a TFRecord file of transformed examples.

        Args:
          source: A compressed TFRecord file of examples.
          target: The file to write.

        Returns:
          The number of examples.
        """
        count = 0
        with tf.io.TFRecordWriter(target) as writer:
            for record in self._transformed(source):
                writer.write(record)
                count += 1
        return count

    def _transformed(self, source: str) -> Iterator[bytes]:
        batches = tf.data.TFRecordDataset(source, "GZIP", _READ_BYTES).batch(_BATCH).prefetch(_THREADS)
        batches = batches.with_options(untuned())
        for transformed in map_ahead(self._transform, batches, threads=_THREADS):
            for record in self._encoder.encode(self._to_arrow.convert(transformed)):
                # The encoder lays out the features of one record in another order than those of the next.
                yield tf.train.Example.FromString(record).SerializeToString(deterministic=True)
