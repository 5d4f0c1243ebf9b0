"""Several teachers as one."""

import math
from collections.abc import Mapping

import keras
from keras import ops

from components.errors import InputError


def average(teachers: Mapping[str, keras.Model]) -> keras.Model:
    """Averages teachers in probability space, Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    Args:
      teachers: Models from the same images to logits `[batch, num_classes]`, by name. Their layers become
        part of the result.

    Returns:
      A model from those images to the logarithm of the mean of the teachers' probabilities, float32
      `[batch, num_classes]`: logits whose softmax is that mean.

    Raises:
      InputError: The teachers are of different classes or images.
    """
    first, *others = teachers
    for other in others:
        for what, shape, expected in (
            ("classes", teachers[other].output_shape, teachers[first].output_shape),
            ("images", teachers[other].input_shape, teachers[first].input_shape),
        ):
            if shape != expected:
                raise InputError(
                    f"The teachers disagree on the {what}: {first} has shape {expected}, {other} {shape}; "
                    "list teachers of the same data."
                )
    images = keras.Input(teachers[first].input_shape[1:], name="image")
    members = [
        keras.Model(teacher.inputs, teacher.outputs[0], name=name)(images)
        for name, teacher in teachers.items()
    ]
    # Not the logarithm of the mean: logits far apart would make it infinite.
    logarithms = ops.stack([ops.log_softmax(ops.cast(each, "float32")) for each in members], axis=0)
    mean = ops.logsumexp(logarithms, axis=0) - math.log(len(members))
    return keras.Model(images, mean, name="teachers")
