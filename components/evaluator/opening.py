"""Opening the models that are evaluated; all of them have to fit the data."""

import dataclasses
import math
from collections.abc import Mapping

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError
from tfx.utils import path_utils

from components.errors import InputError, first_line
from components.evaluator.judge.evidence import INCUMBENT
from components.layout import keras_file
from components.serving.forms import open_servable
from components.serving.network import Network, describe_network
from components.serving.servable import Servable
from components.serving.versions import NO_VERSION, Versions
from components.storage.copies import local_copy

_BROKEN = (
    *(InputError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    *(DecodeError, tf.errors.OpError),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """The models that are evaluated.

    Attributes:
      models: By name; a teacher that is known by its predictions alone is not among them.
      networks: The Keras models that those of this run were made from, by name.
      class_names: In the order of the labels.
      image_shape: `(height, width, channels)` of the images that the students see.
      incumbent_version: The version that ships, or `none`.
      incomparable: Why that cannot be compared with the new students; None if it can, or there is none.
    """

    models: dict[str, Servable]
    networks: dict[str, Network]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    incumbent_version: str
    incomparable: str | None

    @property
    def warnings(self) -> list[str]:
        """What the reader of the numbers should know."""
        if self.incomparable is None:
            return []
        return [
            f"The student that ships, {self.incumbent_version}, is left out of the comparison: "
            f"{self.incomparable}."
        ]


def open_models(
    model_uris: Mapping[str, str],
    *,
    student: str,
    class_names: tuple[str, ...],
    versions: Versions,
    incumbent: str,
) -> Opened:
    """Opens the models of this run, and the student that ships if it can be compared with them.

    Args:
      model_uris: The `model` artifacts of this run by the models' names.
      student: The name of one of the students.
      class_names: Those of the data, in the order of the labels.
      versions: The students that were pushed.
      incumbent: The version there to compare with, or `none`; if it is empty, the one that ships.

    Raises:
      InputError: A model of this run is for other classes, or for another number of them.
    """
    networks = {name: describe_network(local_copy(keras_file(uri))) for name, uri in model_uris.items()}
    models = {
        name: _open_model(uri, name=name, network=networks[name], class_names=class_names)
        for name, uri in model_uris.items()
    }
    image_shape = networks[student].image_shape
    version = versions.incumbent(incumbent)
    pushed, problem = _open_incumbent(
        versions, version=version, class_names=class_names, image_shape=image_shape
    )
    return Opened(
        models=models | ({INCUMBENT: pushed} if pushed else {}),
        networks=networks,
        class_names=class_names,
        image_shape=image_shape,
        incumbent_version=version or NO_VERSION,
        incomparable=problem,
    )


def _open_model(uri: str, *, name: str, network: Network, class_names: tuple[str, ...]) -> Servable:
    if network.num_outputs != len(class_names):
        raise InputError(
            f"The model {name!r} has {network.num_outputs} outputs, but the data has {len(class_names)} "
            f"classes; its last layer must have {len(class_names)} units."
        )
    model = open_servable(path_utils.serving_model_path(uri), network=network)
    if model.class_names != class_names:
        raise InputError(
            f"The model {name!r} was trained for the classes {', '.join(model.class_names)}, but those of "
            f"the data are {', '.join(class_names)}, in this order; train it again."
        )
    return model


def _open_incumbent(
    versions: Versions,
    *,
    version: str | None,
    class_names: tuple[str, ...],
    image_shape: tuple[int, int, int],
) -> tuple[Servable | None, str | None]:
    """Opens the student that ships, or says why it cannot be compared with the new ones."""
    if version is None:
        return None, None
    try:
        model = _open_fitting(versions.location(version), class_names=class_names, image_shape=image_shape)
    except InputError as error:
        logging.warning("Version %s cannot be compared: %s", version, error)
        return None, str(error)
    return model, None


def _open_fitting(uri: str, *, class_names: tuple[str, ...], image_shape: tuple[int, int, int]) -> Servable:
    try:
        model = open_servable(uri)
        own_class_names = model.class_names
        shape = model.predict([bytes(math.prod(image_shape))]).shape
    except _BROKEN as error:
        raise InputError(f"it cannot be loaded ({first_line(error)})") from error
    if own_class_names != class_names:
        shown = ", ".join(own_class_names[:5]) + (", ..." if len(own_class_names) > 5 else "")
        raise InputError(f"it was trained for other classes, or in another order: {shown}")
    if shape != (1, len(class_names)):
        raise InputError("it takes images of another size")
    return model
