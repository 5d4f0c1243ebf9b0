"""How a teacher's logits lie in a file: one record for each example, in the order of the examples.

A record is a `tf.Example` with `id` and `logits`. The logits of an image as it is are a list of floats. Those
of its views are a list of bytes: for each view in turn its logits in little-endian float16. That rounds a
logit of 1 by 0.0005 at most, and one of 1,000 by 0.25; beyond 65,504 it is cut.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.training.inputs.batches import VIEW_LOGITS


class Batch(NamedTuple):
    """Predictions for examples of one file: its number, ids `[batch]`, logits `[batch, num_classes]`.

    Of views, the logits are float16 `[batch, views, num_classes]`.
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


def side_by_side(logits: Iterable[np.ndarray]) -> np.ndarray:
    """Joins the logits `[batch, num_classes]` of views, as they are stored: `[batch, views, num_classes]`."""
    most = np.finfo(VIEW_LOGITS.as_numpy_dtype).max
    joined = np.stack(list(logits), axis=1)
    cut = np.where(np.isfinite(joined), np.clip(joined, -most, most), joined)
    return cut.astype(VIEW_LOGITS.as_numpy_dtype)


def decode_logits(example: tf.train.Example) -> np.ndarray:
    """Returns the logits of a stored example, float32 `[views, num_classes]`; without views one row."""
    feature = example.features.feature["logits"]
    if feature.HasField("float_list"):
        return np.array([feature.float_list.value], np.float32)
    dtype = VIEW_LOGITS.as_numpy_dtype
    return np.stack([np.frombuffer(view, dtype).astype(np.float32) for view in feature.bytes_list.value])


def _as_arrow(batch: Batch) -> pa.RecordBatch:
    """Turns a batch into one row per example, as TFX's encoder of `tf.Example`s wants it."""
    count, width = batch.logits.shape[:2]
    ids = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32), pa.array(batch.ids, pa.binary()))
    starts = np.arange(0, count * width + 1, width, dtype=np.int32)
    logits = pa.ListArray.from_arrays(starts, _encode_logits(batch.logits))
    return pa.RecordBatch.from_arrays([ids, logits], ["id", "logits"])


def _encode_logits(logits: np.ndarray) -> pa.Array:
    """Returns the values of the feature `logits` of all rows, one row after the other."""
    if logits.ndim == 2:
        return pa.array(logits.reshape(-1), pa.float32())
    return pa.array([of_view.tobytes() for views in logits for of_view in views], pa.binary())
