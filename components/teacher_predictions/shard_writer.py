"""Runs a teacher over the examples of a shard."""

import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from components.models.building import load_model
from components.settings.training import Views
from components.sharding.ahead import map_ahead
from components.storage.copies import local_copy
from components.teacher_predictions.records import Batch, write_records
from components.training.inputs.batches import batches_of_file
from components.training.inputs.stored_logits import pack

# Values of the images in a forward pass. Small images want large batches, since each call of a model costs
# some hundred microseconds whatever the batch; for large ones a larger batch only takes more memory.
_VALUES_PER_BATCH = 400_000
_BATCH_SIZES = (32, 512)


def choose_batch_size(image_shape: tuple[int, int, int]) -> int:
    """Returns how many images of a shape to give to the teacher at once."""
    least, most = _BATCH_SIZES
    return max(least, min(most, _VALUES_PER_BATCH // math.prod(image_shape)))


class ShardWriter:
    """Stores the logits of a teacher, for images as they are or for each of their views.

    Reading, the teacher and writing go on at the same time, with no more than a few batches in memory.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a forward pass.
      views: Of the images, if there are any.
      top_k: Of how many classes logits are stored one by one; None is of all.
    """

    def __init__(
        self,
        teacher: keras.Model,
        *,
        image_shape: tuple[int, int, int],
        batch_size: int,
        views: Views | None = None,
        top_k: int | None = None,
    ) -> None:
        with tf.device("CPU"):
            self._file = tf.Variable("", dtype=tf.string, trainable=False)
        # Made once: TensorFlow takes longer to make it than to read a small shard.
        self._batches = batches_of_file(
            self._file, image_shape=image_shape, batch_size=batch_size, views=views
        )
        self._num_views = views.number if views else 1
        self._top_k = top_k
        self._predict = tf.function(
            lambda images: teacher(images, training=False),
            input_signature=[tf.TensorSpec(self._batches.element_spec[0].shape, tf.float32)],
        )

    def write(self, source: str, target: str) -> int:
        """Writes a TFRecord file of predictions.

        Args:
          source: A TFRecord file of transformed examples.
          target: The file to write.

        Returns:
          The number of examples.
        """
        self._file.assign(source)
        predicted = map_ahead(lambda batch: self._run(*batch), self._batches, threads=1)
        return write_records(target, self._of_images(predicted))

    def _run(self, images: tf.Tensor, ids: tf.Tensor) -> Batch:
        return Batch(0, ids.numpy(), self._predict(images).numpy())

    def _of_images(self, predicted: Iterator[Batch]) -> Iterator[Batch]:
        """Joins the predictions for the views of a batch, which come one after the other."""
        while views := list(itertools.islice(predicted, self._num_views)):
            logits = np.stack([each.logits for each in views], axis=1)
            yield views[0]._replace(logits=pack(logits, top_k=self._top_k))


def open_writer(
    teacher_file: str,
    *,
    image_shape: tuple[int, int, int],
    batch_size: int,
    views: Views | None = None,
    top_k: int | None = None,
) -> ShardWriter:
    """Loads a teacher, and returns its writer.

    Args:
      teacher_file: The path or URI of its `.keras` file.
      image_shape: See `ShardWriter`.
      batch_size: See `ShardWriter`.
      views: See `ShardWriter`.
      top_k: See `ShardWriter`.
    """
    teacher = load_model(str(local_copy(teacher_file)))
    return ShardWriter(teacher, image_shape=image_shape, batch_size=batch_size, views=views, top_k=top_k)
