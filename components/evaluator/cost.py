"""What a model costs to keep."""

import dataclasses
import pathlib

import keras


@dataclasses.dataclass(frozen=True)
class Cost:
    """The size of a model.

    Attributes:
      parameters: Number of weights, trainable or not.
      size_bytes: Size of all files of the exported SavedModel, in bytes.
      num_outputs: Number of logits.
    """

    parameters: int
    size_bytes: int
    num_outputs: int


def measure_cost(*, keras_file: pathlib.Path, serving_dir: pathlib.Path) -> Cost:
    """Measures a model.

    Args:
      keras_file: The model in Keras's format.
      serving_dir: The directory of its SavedModel.

    Returns:
      Its cost.
    """
    model = keras.saving.load_model(keras_file, compile=False)
    return Cost(
        parameters=model.count_params(),
        size_bytes=sum(path.stat().st_size for path in serving_dir.rglob("*") if path.is_file()),
        num_outputs=model.output_shape[-1],
    )
