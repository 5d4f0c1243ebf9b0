"""A model served as a SavedModel, as `components.serving.export` writes it."""

import functools
import math
import pathlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.layout import is_saved_model
from components.serving.network import all_operations
from components.serving.servable import Servable

# Where `components.serving.export` keeps the weights; in what was pushed by earlier versions, the last.
_WEIGHTS = ("_weights/", "_restored/", "_model/")


class SavedModel(Servable):
    """A SavedModel with the signature `transformed`."""

    @classmethod
    def lies_in(cls, directory: pathlib.Path) -> bool:
        """Returns whether a directory holds a SavedModel."""
        return is_saved_model(directory)

    def predict(self, images: Sequence[bytes]) -> np.ndarray:
        """Returns the logits of packed images, float32 `[batch, num_classes]`."""
        return self._signature(image=tf.constant(images, tf.string))["logits"].numpy()

    @property
    def parameters(self) -> int:
        """The number of weights: the Keras model's, else of the checkpoint; random generators have none."""
        if self._network:
            return self._network.parameters
        variables = tf.train.list_variables(str(self.directory / "variables" / "variables"))
        return sum(
            math.prod(shape)
            for name, shape in variables
            if name.startswith(_WEIGHTS) and "seed_generator" not in name
        )

    @property
    def architecture(self) -> Hashable:
        """The operations of the signature with the types and shapes of what goes in and comes out."""
        return tuple(sorted(_describe(each) for each in all_operations(self._signature.graph)))

    @functools.cached_property
    def _model(self) -> Any:
        return tf.saved_model.load(str(self.directory))

    @property
    def _signature(self) -> Any:
        return self._model.signatures["transformed"]


def _describe(operation: tf.Operation) -> str:
    tensors = (*operation.inputs, *operation.outputs)
    return f"{operation.type} {[(tensor.dtype.name, tensor.shape) for tensor in tensors]}"
