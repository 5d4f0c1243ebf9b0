"""Small real models and examples: images of 2x2 pixels, three classes."""

import json
import pathlib
import pickle
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

CLASSES = ("ant", "bee", "cat")
IMAGE_SHAPE = (2, 2, 1)


class Served(tf.Module):
    """A model with the signature that the evaluation calls."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._model = model

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def transformed(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.io.decode_raw(image, tf.uint8, fixed_length=int(np.prod(IMAGE_SHAPE)))
        logits = self._model(tf.reshape(tf.cast(pixels, tf.float32) / 255, (-1, *IMAGE_SHAPE)))
        names = tf.gather(tf.constant([f"class {index}" for index in range(64)]), tf.argmax(logits, axis=-1))
        return {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": names}


def _build_model(folder: pathlib.Path, kernel: np.ndarray, bias: np.ndarray, classes: Sequence[str]) -> None:
    model = keras.Sequential(
        [keras.Input(IMAGE_SHAPE), keras.layers.Flatten(), keras.layers.Dense(len(bias))]
    )
    model.set_weights([kernel, bias])
    model.save(folder / "model.keras")
    served = Served(model)
    signatures = {"transformed": served.transformed}
    tf.saved_model.save(served, str(folder / "Format-Serving"), signatures=signatures)
    assets = folder / "Format-Serving" / "assets.extra"
    assets.mkdir()
    (assets / "classes.json").write_text(json.dumps(list(classes)))


@pytest.fixture(scope="session")
def write_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Writes a `model` artifact whose logits are `pixels @ kernel + bias`, with pixels in [0, 1].

    The same model is built once only; what is written are copies.
    """
    built: dict[bytes, pathlib.Path] = {}

    def write(folder: pathlib.Path, *, kernel: Any, bias: Any, classes: Sequence[str] = CLASSES) -> str:
        arguments = np.asarray(kernel, np.float32), np.asarray(bias, np.float32), tuple(classes)
        key = pickle.dumps(arguments)
        if key not in built:
            built[key] = tmp_path_factory.mktemp("model")
            _build_model(built[key], *arguments)
        shutil.copytree(built[key], folder)
        return str(folder)

    return write


@pytest.fixture(scope="session")
def write_history() -> Callable[..., str]:
    """Writes a `model_run` artifact; the last of the epochs is the best one."""

    def write(folder: pathlib.Path, *, val_accuracy: Sequence[float], val_loss: float = 0.5) -> str:
        epochs = [
            {"epoch": number, "seconds": 1.0, "loss": 1.0, "accuracy": 0.5}
            | {"val_loss": val_loss, "val_accuracy": accuracy}
            for number, accuracy in enumerate(val_accuracy, start=1)
        ]
        folder.mkdir(parents=True)
        history = {"best_epoch": len(epochs) or None, "epochs": epochs}
        (folder / "history.json").write_text(json.dumps(history))
        return str(folder)

    return write
