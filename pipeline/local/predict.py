"""Classifies images with a model that the pipeline has pushed."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from components.errors import InputError
from components.layout import CLASSES_ASSET, SAVED_MODEL_FILE
from components.report.wording import percent
from components.serving.versions import Versions
from components.storage.uri import is_remote
from pipeline.silence import silenced

_FEW_CLASSES = 5
_CLASSES_SHOWN_OF_MANY = 3


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says of an image: the most likely class, and the probability of each."""

    image: pathlib.Path
    class_name: str
    probabilities: dict[str, float]


def predict(images: Sequence[pathlib.Path], *, model: str) -> list[Prediction]:
    """Classifies image files. Imports TensorFlow, and keeps its chatter to itself.

    Args:
      images: JPEG or PNG files.
      model: A SavedModel of this pipeline, or a directory of versions, of which the one that ships is taken.
        Of one in an object store a copy is made, which ends with this process.

    Returns:
      A prediction for each image, in the same order.

    Raises:
      InputError: There is no such model, or an image cannot be read.
    """
    directory, place = _find_model(model)
    class_names = _read_class_names(directory, place=place)
    contents = [_read(image) for image in images]
    with silenced():
        import tensorflow as tf

        try:
            loaded = tf.saved_model.load(str(directory))
        except (OSError, ValueError, tf.errors.OpError):
            raise InputError(
                f"The SavedModel in {place} cannot be loaded; is it damaged, or only partly copied?"
            ) from None
        classify = loaded.signatures["images"]
        predictions = []
        for image, content in zip(images, contents, strict=True):
            try:
                probabilities = classify(image=tf.constant([content]))["probabilities"][0].numpy()
            except tf.errors.OpError:
                raise InputError(f"{image} cannot be decoded; expected a JPEG or PNG image.") from None
            predictions.append(_as_prediction(image, class_names=class_names, probabilities=probabilities))
    return predictions


def to_json(predictions: Sequence[Prediction]) -> str:
    """Writes predictions as `[{"image": path, "class": name, "probabilities": {name: p}}]`."""
    rows = [
        {"image": str(p.image), "class": p.class_name, "probabilities": p.probabilities} for p in predictions
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def to_table(predictions: Sequence[Prediction]) -> Table:
    """Lays predictions out for a reader, with the most likely classes where there are many."""
    table = Table("image", "class", "probabilities", box=box.SIMPLE, pad_edge=False, show_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for prediction in predictions:
        ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
        shown = ranked if len(ranked) <= _FEW_CLASSES else ranked[:_CLASSES_SHOWN_OF_MANY]
        likely = ", ".join(f"{name} {percent(probability)}" for name, probability in shown)
        table.add_row(*map(Text, (str(prediction.image), prediction.class_name, likely)))
    return table


def _as_prediction(image: pathlib.Path, *, class_names: Sequence[str], probabilities: Any) -> Prediction:
    return Prediction(
        image=image,
        class_name=class_names[int(probabilities.argmax())],
        probabilities=dict(zip(class_names, (float(p) for p in probabilities), strict=True)),
    )


def _find_model(model: str) -> tuple[pathlib.Path, str]:
    """Returns where on this machine a SavedModel lies, and where it was pushed to."""
    if not is_remote(model) and not pathlib.Path(model).is_dir():
        raise InputError(f"{model} is no directory; expected a pushed model, such as runs/digits/pushed.")
    versions = Versions(model)
    if SAVED_MODEL_FILE in versions.store.names():
        return _find_version(model), model
    version = versions.shipping()
    if version is None:
        raise InputError(
            f"{model} holds no SavedModel, nor a version of one; expected a pushed model, "
            "such as runs/digits/pushed."
        )
    return versions.fetch(version), versions.location(version)


def _find_version(model: str) -> pathlib.Path:
    if not is_remote(model):
        return pathlib.Path(model)
    directory, _, version = model.rstrip("/").rpartition("/")
    if not is_remote(directory):
        raise InputError(f"{model} is a whole bucket; expected a pushed model in a directory of it.")
    return Versions(directory).fetch(version)


def _read_class_names(directory: pathlib.Path, *, place: str) -> list[str]:
    try:
        names: list[str] = json.loads((directory / CLASSES_ASSET).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"The SavedModel in {place} has no class names in {CLASSES_ASSET}; expected one of this pipeline."
        ) from None
    return names


def _read(image: pathlib.Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read ({error.strerror}); expected an image file.") from None
