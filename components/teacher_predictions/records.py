"""How a teacher's logits lie in a file: one record for each example, in the order of the examples.

A record is a `tf.Example` with `id` and `halves`, a list of bytes: for each view of an image in turn, or for
the image as it is, what `components.training.inputs.stored_logits` packs. What an outside teacher says is not
rounded, since that is what the teacher is measured by: in the place of `halves` there are `logits`, a list of
floats.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder


class Batch(NamedTuple):
    """Predictions for examples of one file: its number, ids `[batch]`, logits.

    The logits are float32 `[batch, num_classes]`, or packed: uint8 `[batch, views, bytes]`.
    """

    file: int
    ids: np.ndarray
    logits: np.ndarray


def write_records(path: str, batches: Iterable[Batch]) -> int:
    """Writes a TFRecord file of predictions; the same give the same bytes.

    Args:
      path: The file, on this machine.
      batches: Its predictions.

    Returns:
      The number of examples.
    """
    encoder = RecordBatchToExamplesEncoder()
    count = 0
    with tf.io.TFRecordWriter(path) as writer:
        for batch in batches:
            for record in encoder.encode(_as_arrow(batch)):
                # The encoder lays out the features of one record in another order than those of the next.
                writer.write(tf.train.Example.FromString(record).SerializeToString(deterministic=True))
            count += len(batch.ids)
    return count


def _as_arrow(batch: Batch) -> pa.RecordBatch:
    """Turns a batch into one row per example, as TFX's encoder of `tf.Example`s wants it."""
    count, width = batch.logits.shape[:2]
    ids = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32), pa.array(batch.ids, pa.binary()))
    starts = np.arange(0, count * width + 1, width, dtype=np.int32)
    if batch.logits.ndim == 2:
        name, values = "logits", pa.array(batch.logits.reshape(-1), pa.float32())
    else:
        name, values = "halves", _as_binary(batch.logits)
    return pa.RecordBatch.from_arrays([ids, pa.ListArray.from_arrays(starts, values)], ["id", name])


def _as_binary(packed: np.ndarray) -> pa.Array:
    """Turns bytes `[batch, views, bytes]` into one value for each view of each example."""
    *shape, size = packed.shape
    starts = size * np.arange(np.prod(shape) + 1, dtype=np.int32)
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(np.ascontiguousarray(packed))]
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, buffers)
