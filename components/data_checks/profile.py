"""What the training images of a run look like as a whole: small enough to be kept with each student."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from scipy import special

from components.files import read_json
from components.report.summary import Count, Part

LABEL: Final = "label"
TEACHER_CLASS: Final = "teacher class"
TEACHER_CONFIDENCE: Final = "teacher confidence"
TEACHER_LOGIT: Final = "teacher logit"

# The bins of each number, the same in every run: a quarter of an octave for sizes, 32 equal ones otherwise.
_OCTAVES = 14
_SIZES = 2.0 ** np.linspace(0, _OCTAVES, 4 * _OCTAVES + 1)
_EDGES: Final[Mapping[str, np.ndarray]] = {
    "height": _SIZES,
    "width": _SIZES,
    "brightness": np.linspace(0, 255, 33),
    "contrast": np.linspace(0, 127.5, 33),
    TEACHER_CONFIDENCE: np.linspace(0, 1, 33),
    TEACHER_LOGIT: np.linspace(-32, 32, 65),
}
_OF_IMAGES = ("height", "width", "brightness", "contrast")


class Histogram(Part):
    """How often a number falls into each of the bins that all runs share, and its mean."""

    mean: float
    counts: tuple[Count, ...]


class Profile(Part):
    """What images look like as a whole.

    Attributes:
      version: It changes with the features and the bins.
      images: Their number.
      categories: How often each class occurs: as `label`, and as the `teacher class` that the teacher names.
      numbers: The histogram of each number: height and width in pixels, brightness and contrast as in
        `components.data_checks.descriptors.Descriptor`, and of the class that the teacher names its
        probability, `teacher confidence`, and its logit, `teacher logit`.
    """

    version: Literal[1] = 1
    images: Count
    categories: Mapping[str, Mapping[str, Count]]
    numbers: Mapping[str, Histogram]

    def joined_with(self, other: "Profile") -> "Profile":
        """Returns a profile with the features of another of the same images, too."""
        return Profile(
            images=self.images,
            categories={**self.categories, **other.categories},
            numbers={**self.numbers, **other.numbers},
        )


def make_profile(descriptors: Iterable[pa.Table], *, class_names: Sequence[str]) -> Profile:
    """Sums up what images look like.

    Args:
      descriptors: Those of the images, at least one, in any number of tables; see
        `components.data_checks.descriptors`.
      class_names: The name of each class, in the order of the labels. Images without a label have no part in
        the distribution of the classes.
    """
    counts = np.zeros(len(class_names), np.int64)
    numbers = {name: _Tally(name) for name in _OF_IMAGES}
    for table in descriptors:
        labels = table["label"].to_numpy()
        counts += np.bincount(labels[labels >= 0], minlength=len(class_names))
        for name, tally in numbers.items():
            tally.add(table[name].to_numpy())
    return Profile(
        images=numbers[_OF_IMAGES[0]].number,
        categories={LABEL: dict(zip(class_names, counts.tolist(), strict=True))} if counts.any() else {},
        numbers={name: tally.histogram() for name, tally in numbers.items()},
    )


def make_teacher_profile(logits: np.ndarray, *, class_names: Sequence[str]) -> Profile:
    """Sums up what a teacher says of images.

    Args:
      logits: Of each image, `[images, num_classes]`, at least one.
      class_names: In the order of the logits.
    """
    classes = np.bincount(logits.argmax(axis=1), minlength=len(class_names)).tolist()
    return Profile(
        images=len(logits),
        categories={TEACHER_CLASS: dict(zip(class_names, classes, strict=True))},
        numbers={
            TEACHER_CONFIDENCE: _histogram(TEACHER_CONFIDENCE, special.softmax(logits, axis=1).max(axis=1)),
            TEACHER_LOGIT: _histogram(TEACHER_LOGIT, logits.max(axis=1)),
        },
    )


def read_profile(path: pathlib.Path) -> Profile | None:
    """Reads a profile; None if there is none, or none that this program understands."""
    try:
        return Profile.model_validate(read_json(path))
    except (OSError, ValueError):
        return None


class _Tally:
    """Counts how often a number falls into each bin, and sums it up."""

    def __init__(self, name: str) -> None:
        self._edges = _EDGES[name]
        self._counts = np.zeros(len(self._edges) - 1, np.int64)
        self._sum = 0.0
        self.number = 0

    def add(self, values: np.ndarray) -> None:
        counts, _ = np.histogram(np.clip(values, self._edges[0], self._edges[-1]), self._edges)
        self._counts += counts
        self._sum += float(values.sum(dtype=np.float64))
        self.number += len(values)

    def histogram(self) -> Histogram:
        return Histogram(mean=self._sum / self.number, counts=tuple(self._counts.tolist()))


def _histogram(name: str, values: np.ndarray) -> Histogram:
    tally = _Tally(name)
    tally.add(values)
    return tally.histogram()
