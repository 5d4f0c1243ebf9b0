"""The parts of the test split that are measured by themselves: the classes, and the values of features."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import InputError

LABEL = "label"
# What the slices of the labels are called once they bear the names of the classes.
CLASS = "class"
# A slice of its own making: by the geometric mean of height and width, in powers of two.
IMAGE_SIZE = "image_size"

# A feature and its value as text.
Slice = tuple[str, str]


def slice_features(slices: Sequence[str], schema: schema_pb2.Schema) -> list[schema_pb2.Feature]:
    """Returns the features that slices are made of.

    Args:
      slices: Names of features, or `image_size`.
      schema: The schema of the examples.

    Raises:
      InputError: The examples have no such feature; the message says which there are.
    """
    features = {feature.name: feature for feature in schema.feature}
    known = [name for name in features if name not in ("image", "id", LABEL)]
    if {"height", "width"} <= set(known):
        known.append(IMAGE_SIZE)
    for name in slices:
        if name not in known:
            raise InputError(
                f"evaluation.slices names {name!r}, which the examples do not have; allowed: "
                f"{', '.join(known)}."
            )
    wanted = {*slices, "height", "width"} if IMAGE_SIZE in slices else set(slices)
    return [feature for name, feature in features.items() if name in wanted]


def add_image_size(features: dict[str, Any]) -> dict[str, Any]:
    """Adds the `image_size` of each image of a batch to its features, if they hold height and width."""
    if "height" not in features or "width" not in features:
        return features
    sizes = np.array([image_size(h, w) for h, w in zip(features["height"], features["width"], strict=True)])
    return features | {IMAGE_SIZE: sizes}


def image_size(height: int, width: int) -> str:
    """Returns the range of powers of two in which the geometric mean of two lengths lies, in pixels."""
    exponent = int(np.log2(max(1.0, float(height) * float(width)))) // 2
    return f"{2**exponent}-{2 ** (exponent + 1) - 1}"


def rows_by_slice(
    features: Mapping[str, Any], names: Sequence[str], *, size: int
) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """Yields the key, as TFMA has it, and the rows of each slice of a batch of some size."""
    yield (), np.arange(size)
    for name in names:
        values = np.array([_scalar(value) for value in features[name]])
        for value in np.unique(values):
            yield ((name, value.item()),), np.flatnonzero(values == value)


def to_text(value: Any) -> str:
    """Writes the value of a feature as text."""
    return str(_scalar(value))


def _scalar(value: Any) -> Any:
    """Returns the value of a feature, as text if it is bytes."""
    scalar = np.ravel(value)[0] if isinstance(value, np.ndarray) else value
    return scalar.decode(errors="replace") if isinstance(scalar, bytes) else scalar
