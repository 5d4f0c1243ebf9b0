"""The files of pretrained models. Nothing here imports Keras: they are checked before it is needed."""

import hashlib
import importlib.util
import mmap
import os
import pathlib
import re
from typing import Literal

from components.errors import InputError
from components.files import fingerprint_all, sha256
from components.layout import KERAS_FILE, is_keras_file, is_saved_model

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications"
# ONNX's StringStringEntryProto of the key "location", in protobuf's encoding, up to the length of the value.
_LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])", re.DOTALL)

Format = Literal["keras", "saved_model"]


def find_model(path: str) -> tuple[pathlib.Path, Format]:
    """Finds the model at a path and its format.

    Args:
      path: A `.keras` file, a directory that holds `model.keras`, such as a `model` artifact of this
        pipeline, or the directory of a SavedModel.

    Returns:
      The file or the directory of the model, and its format.

    Raises:
      InputError: There is none.
    """
    place = pathlib.Path(path)
    if not place.exists():
        raise InputError(
            f"The teacher {path} does not exist; give a .keras file or a SavedModel's directory."
        )
    if (place / KERAS_FILE).is_file():
        place = place / KERAS_FILE
    if is_saved_model(place):
        return place, "saved_model"
    if is_keras_file(place):
        return place, "keras"
    raise InputError(
        f"The teacher {path} is neither a .keras file nor a SavedModel's directory; write one with "
        "model.save('teacher.keras') or model.export('teacher')."
    )


def check_weights(path: str, *, key: str) -> None:
    """Raises InputError, which names the key that a path was given for, unless it is a file."""
    if not pathlib.Path(path).is_file():
        raise InputError(
            f"{key} {path!r} is no file, and nothing is downloaded; get the architecture's "
            f"*_notop.h5 from {_WEIGHTS} and give its path, or null for random weights."
        )


def check_onnx(path: str) -> None:
    """Raises InputError unless there is an ONNX file, and what runs it."""
    if not pathlib.Path(path).is_file():
        raise InputError(f"The teacher {path} does not exist; give a .onnx file.")
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            f"The teacher {path} is run by ONNX Runtime, which is not installed: pip install onnxruntime."
        )


def fingerprint_onnx(path: str) -> str:
    """Returns the SHA-256 of an ONNX file and of the files beside it that it says hold its weights."""
    place = pathlib.Path(path)
    beside = sorted(place.parent / name for name in _external_data(place))
    return fingerprint_all([place, *(each for each in beside if each.is_file())])


def _external_data(path: pathlib.Path) -> set[str]:
    """Returns the locations, relative to an ONNX file, of the weights that are not in it."""
    if not path.stat().st_size:  # Which cannot be mapped; ONNX Runtime will refuse it.
        return set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        places = ((match.end(), match[1][0]) for match in _LOCATION.finditer(content))
        return {os.fsdecode(content[start : start + length]) for start, length in places}


def fingerprint(path: str) -> str:
    """Returns the SHA-256 of a file, or of all files below a directory and their names, in hexadecimal."""
    place = pathlib.Path(path)
    if place.is_file():
        return sha256(place)
    lines = [
        f"{fingerprint(str(each))} {each.relative_to(place)}\n"
        for each in sorted(place.rglob("*"))
        if each.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
