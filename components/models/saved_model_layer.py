"""A SavedModel as a layer of a Keras model."""

import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="distillation")
class SavedModelLayer(keras.layers.Layer):
    """Calls one signature of a SavedModel, which is kept inside the `.keras` file of the model around it.

    It maps float32 to float32, and is not trained.

    Args:
      input_name: Name of the signature's only input.
      output_name: Name of the output to return.
      output_shape: Its shape, with None for the batch.
      signature: Name of the signature.
      directory: The SavedModel; None if `load_assets` will bring it.
      **options: Those of every layer.
    """

    def __init__(
        self,
        *,
        input_name: str,
        output_name: str,
        output_shape: Sequence[int | None],
        signature: str,
        directory: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options | {"trainable": False, "dtype": "float32"})
        self._names = {"input_name": input_name, "output_name": output_name, "signature": signature}
        self._output_shape = tuple(output_shape)
        self._function: Any = None
        if directory is not None:
            self._restore(directory)

    def _restore(self, directory: str) -> None:
        # TensorFlow looks for the assets of a SavedModel where it was loaded from.
        self._copy = tempfile.TemporaryDirectory()
        shutil.copytree(directory, self._copy.name, dirs_exist_ok=True)
        self._restored = tf.saved_model.load(self._copy.name)
        self._function = self._restored.signatures[self._names["signature"]]

    @property
    def weights(self) -> list[keras.Variable]:
        """The variables of the SavedModel, so that they are counted."""
        # Kept on the layer they would be saved twice, with the SavedModel and beside it.
        return [
            keras.Variable(variable, trainable=False, dtype=variable.dtype.name)
            for variable in (self._function.variables if self._function else ())
        ]

    def call(self, inputs: Any) -> Any:
        """Returns the output of the signature."""
        outputs = self._function(**{self._names["input_name"]: inputs})
        return tf.cast(outputs[self._names["output_name"]], tf.float32)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns the shape of the output, also before the SavedModel is there."""
        return keras.KerasTensor(self._output_shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the layer again, but for the SavedModel."""
        return {**super().get_config(), **self._names, "output_shape": list(self._output_shape)}

    def save_assets(self, directory: str) -> None:
        """Writes the SavedModel into the `.keras` file."""
        shutil.copytree(self._copy.name, directory, dirs_exist_ok=True)

    def load_assets(self, directory: str) -> None:
        """Reads the SavedModel from the `.keras` file."""
        self._restore(directory)
