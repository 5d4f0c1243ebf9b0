"""The teacher inside the training step: it sees exactly the batch that the student sees."""

from typing import Any

import keras
from keras import ops

from components.training.learner import Targets, Teacher


def load_teacher(keras_file: str) -> keras.Model:
    """Loads a teacher from its `.keras` file, without running code that is stored in it."""
    return keras.saving.load_model(keras_file, compile=False, safe_mode=True)


def online(teacher: keras.Model) -> Teacher:
    """Makes a model the teacher of a `Learner`.

    It runs in inference mode, gets no gradients and is not changed.

    Args:
      teacher: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.

    Returns:
      A function from images to the targets `{"teacher_logits": [batch, num_classes]}`.
    """

    def ask(images: Any) -> Targets:
        return {"teacher_logits": ops.stop_gradient(teacher(images, training=False))}

    return ask
