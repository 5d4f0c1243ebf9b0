"""Training on several devices at once, each of which sees a share of every batch.

TensorFlow's MirroredStrategy adds up the gradients of the shares. What looks at a whole batch has to ask the
other devices: the number of its examples, and statistics over them. On one device, and on other backends of
Keras, all of it is the identity.
"""

import contextlib
import functools
from typing import Any

import keras
from keras import ops


def scope(strategy: str) -> contextlib.AbstractContextManager[object]:
    """Returns the context in which a model is built and trained.

    Args:
      strategy: `single` is one device, `mirrored` all GPUs of the machine.
    """
    return _mirrored().scope() if strategy == "mirrored" else contextlib.nullcontext()


@functools.cache
def _mirrored() -> Any:
    """Returns the one strategy of this process: each numbers its reductions from the same number on."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


def gather(values: Any) -> Any:
    """Joins what the devices have of a batch; gradients flow back to each.

    Args:
      values: This device's share, `[share, ...]`.

    Returns:
      `[batch, ...]`, in the order of the devices.
    """
    replica = _replica()
    return values if replica is None else replica.all_gather(values, axis=0)


def weigh_by_share(loss: Any, *, examples: Any) -> Any:
    """Has a share count in a batch by its number of examples.

    Keras weighs the mean loss of each device alike, also where the last batch of an epoch is not divisible.
    The value stays the mean of the share, of which Keras' metrics make that of the epoch; the gradient
    becomes its part in the mean of the batch.

    Args:
      loss: Of this device's share, a scalar.
      examples: How many it has, an integer scalar.

    Returns:
      The loss, a scalar.
    """
    replica = _replica()
    if replica is None:
        return loss
    import tensorflow as tf

    share = ops.cast(examples, loss.dtype)
    batch = replica.all_reduce(tf.distribute.ReduceOp.SUM, share)
    factor = replica.num_replicas_in_sync * share / batch
    return factor * loss + ops.stop_gradient((1 - factor) * loss)


def _replica() -> Any:
    """Returns this device's view of the strategy; None where there is one device."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None
