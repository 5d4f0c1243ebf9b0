"""How many threads share the work of one TensorFlow operation."""

import math
import os

import tensorflow as tf

from components.transform.pixels import ImageShape

# Up to here, on two cores, the operations of a step are so short that sharing them out costs more than it
# gains, whereas whole operations still run side by side: MNIST's student took 0.9 ms a step instead of 1.2,
# and the whole graph 0.9 times as long, though TeacherPredictions took half a second more. At 224x224x3 the
# same made steps 1.3 to 1.5 times slower. More cores than two have not been measured.
_MOST_VALUES = 32 * 32
_MOST_CORES = 2


def choose_threads_per_operation(image_shape: ImageShape, *, cores: int) -> int:
    """Returns how many threads are to share an operation on images; 0 leaves it to TensorFlow.

    Args:
      image_shape: `(height, width, channels)`.
      cores: How many cores there are.
    """
    return 1 if math.prod(image_shape) <= _MOST_VALUES and cores <= _MOST_CORES else 0


def set_threads_per_operation(image_shape: ImageShape) -> None:
    """Chooses for this process, in which TensorFlow must not have run anything yet."""
    threads = choose_threads_per_operation(image_shape, cores=len(os.sched_getaffinity(0)))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
