"""The student that was pushed last: what a new one has to stand up to."""

import json
import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError

from components.errors import InputError, first_line
from components.layout import CLASSES_ASSET

# What stands for a version where there is none.
NO_INCUMBENT = "none"

_BROKEN = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    *(DecodeError, tf.errors.OpError),
)


def newest_version(push_directory: pathlib.Path) -> str | None:
    """Returns the name of the newest model that TFX's Pusher has left in a directory, or None."""
    if not push_directory.is_dir():
        return None
    versions = [path.name for path in push_directory.iterdir() if path.name.isdecimal()]
    return max(versions, key=int, default=None)


def check_incumbent(
    path: pathlib.Path, *, class_names: tuple[str, ...], image_shape: tuple[int, int, int]
) -> None:
    """Checks that a pushed model can be compared with the new ones.

    Args:
      path: Directory of its SavedModel.
      class_names: In the order of the labels.
      image_shape: `(height, width, channels)` of the images that the new models see.

    Raises:
      InputError: It cannot; the message says why.
    """
    try:
        classes = read_class_names(path)
        signature = tf.saved_model.load(str(path)).signatures["transformed"]
        pixels = bytes(image_shape[0] * image_shape[1] * image_shape[2])
        shape = tuple(signature(image=tf.constant([pixels]))["logits"].shape)
    except _BROKEN as error:
        reason = first_line(error)
        raise InputError(f"it cannot be loaded ({reason})") from error
    if classes != class_names:
        raise InputError(f"it was trained for other classes, or in another order: {_shorten(classes)}")
    if shape != (1, len(class_names)):
        raise InputError("it takes images of another size")


def read_class_names(serving_dir: pathlib.Path) -> tuple[str, ...]:
    """Reads the names of the classes of a SavedModel that the pipeline has exported."""
    return tuple(json.loads((serving_dir / CLASSES_ASSET).read_text(encoding="utf-8")))


def _shorten(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
