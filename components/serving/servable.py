"""A model in a form in which it is served: all that is asked of it, whatever is behind it."""

import abc
import functools
import json
import pathlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Self

import numpy as np

from components.layout import CLASSES_ASSET, IDENTITY_ASSET, KERAS_ASSET, PROFILE_ASSET
from components.serving.network import Network
from components.storage.copies import local_copy


class Servable(abc.ABC):
    """A served model.

    It is quickly made, and loads what it needs when it is first used. Sent to another process it is only
    where the model lies, and loads there again.

    A form derives from this class and is named in `components.serving.forms`.

    Args:
      uri: Where the model lies: a directory, or the URI of one.
      network: The Keras model that it was made from, if that is at hand.
    """

    def __init__(self, uri: str | pathlib.Path, *, network: Network | None = None) -> None:
        self.uri = str(uri)
        self._network = network

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        return functools.partial(type(self), network=self._network), (self.uri,)

    def on_this_machine(self) -> Self:
        """Returns the same model, which other processes of this machine load without copies of their own."""
        return type(self)(self.directory, network=self._network)

    @property
    def directory(self) -> pathlib.Path:
        """The directory on this machine, or a copy of it."""
        return local_copy(self.uri)

    @classmethod
    @abc.abstractmethod
    def lies_in(cls, directory: pathlib.Path) -> bool:
        """Returns whether a directory holds a model of this form."""

    @abc.abstractmethod
    def predict(self, images: Sequence[bytes]) -> np.ndarray:
        """Returns the logits of images, packed pixels as Transform stores them, `[batch, num_classes]`."""

    @property
    @abc.abstractmethod
    def parameters(self) -> int:
        """The number of weights, trainable or not."""

    @property
    @abc.abstractmethod
    def architecture(self) -> Hashable:
        """What decides how long a prediction takes: equal for models that differ in their weights alone."""

    @property
    def multiply_adds(self) -> int | None:
        """The multiply-adds for one image; None where they cannot be counted."""
        return self._network.multiply_adds if self._network else None

    @property
    def size_bytes(self) -> int:
        """The size of all files that serving needs, in bytes."""
        others = {self.directory / asset for asset in (KERAS_ASSET, PROFILE_ASSET, IDENTITY_ASSET)}
        files = (path for path in self.directory.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files if path not in others)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return tuple(json.loads((self.directory / CLASSES_ASSET).read_text(encoding="utf-8")))
