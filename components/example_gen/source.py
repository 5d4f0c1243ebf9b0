"""What a source of images hands over, what it must be able to do, and what the settings of each have."""

import abc
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from components.example_gen.spans.pattern import Span
from components.layout import REFERENCE, SPLITS, UNLABELLED
from components.settings.base import Fraction, Settings

# The label of an example that has none, as in TFDS.
NO_LABEL = -1


@dataclasses.dataclass(frozen=True)
class Record:
    """An image as it was found, not yet decoded.

    Attributes:
      id: Names the image within its data set; unique, and the same in every run.
      image: The encoded image.
      label: The index of its class in the class names of the source, or `NO_LABEL`.
      weight: How much it counts in training, if the data set says so.
    """

    id: str
    image: bytes
    label: int
    weight: float | None = None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """Something that was found among the images and is left out.

    Attributes:
      id: Names it as a record would be named.
      reason: Why, in a few words.
      corrupt: Whether it should have been an image, as opposed to a file of another kind.
    """

    id: str
    reason: str
    corrupt: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies in a split, before any image is decoded.

    Attributes:
      labels: The number of images by label.
      skipped: What is left out.
    """

    labels: Counter[int]
    skipped: tuple[Skipped, ...] = ()


class Source(abc.ABC):
    """A data set of images in the splits train, validation and test, and some in unlabelled or reference too.

    A source is small and can be pickled. It is read shard by shard, in any process.
    """

    @property
    @abc.abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the labels."""

    @abc.abstractmethod
    def check(self) -> None:
        """Checks quickly, without loading any library, what can be checked without reading the images.

        Raises:
          InputError: The data set is not there, or cannot be split as asked.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Returns a short hash that changes with what lies behind the source."""

    def prepare(self) -> None:
        """Makes the data set ready to be read, fetching it where need be, and checks it.

        Raises:
          InputError: The data set is not available, or cannot be used.
        """
        self.check()

    def notes(self) -> Sequence[str]:
        """Says in what way the splits are others than the user may expect, each without a full stop."""
        return ()

    def spans(self) -> Sequence[Span]:
        """Returns the spans that are read, the newest last; none where the data do not come span by span."""
        return ()

    def listing(self, split: str) -> Listing:
        """Lists what lies in a split; reads all of it, unless a source knows a quicker way."""
        items = [item for shard in self.shards(split) for item in self.read(shard)]
        return Listing(
            labels=Counter(item.label for item in items if isinstance(item, Record)),
            skipped=tuple(item for item in items if isinstance(item, Skipped)),
        )

    @abc.abstractmethod
    def shards(self, split: str) -> Sequence[Any]:
        """Returns the shards of a split: values that can be pickled and given to `read`."""

    @abc.abstractmethod
    def read(self, shard: Any) -> Iterator[Record | Skipped]:
        """Reads one shard, in the same order every time."""


@dataclasses.dataclass(frozen=True)
class ExtendedSource(Source):
    """Another source, to which something is added or from which something is taken.

    Whoever extends a source says how it is read; all else is said by the other one.

    Attributes:
      source: The other one.
    """

    source: Source

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes of the other source."""
        return self.source.class_names

    def check(self) -> None:
        """Refuses what the other source refuses."""
        self.source.check()

    def fingerprint(self) -> str:
        """Returns the fingerprint of the other source."""
        return self.source.fingerprint()

    def prepare(self) -> None:
        """Makes the other source ready to be read."""
        self.source.prepare()

    def notes(self) -> Sequence[str]:
        """Says of the splits what the other source says."""
        return self.source.notes()

    def spans(self) -> Sequence[Span]:
        """Returns the spans of the other source."""
        return self.source.spans()


class SourceSettings(Settings, abc.ABC):
    """Which images; each source adds its own settings, and a literal `source` that names it.

    Without `labels`, those of the training and the validation split are dropped: students are distilled
    from the teacher alone, and only the test split is labelled.

    `unlabelled` is a folder of any images, and `labelled_fraction` the share of the training images whose
    labels are used: both give a fourth split, of images without labels beside the labelled ones.

    `reference` is a folder of class folders whose images never change and are never trained on: by them
    students of different runs are compared.

    Attributes:
      location_key: The setting that says where the data lies, which each run on Kubeflow may change; None
        for a source that lies nowhere.
    """

    location_key: ClassVar[str | None] = None

    max_corrupt_fraction: Fraction = 0.1
    labels: bool = True
    unlabelled: Annotated[str, Field(min_length=1)] | None = None
    labelled_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    reference: Annotated[str, Field(min_length=1)] | None = None

    @property
    def has_unlabelled(self) -> bool:
        """Whether there are images without labels beside the labelled ones."""
        return self.unlabelled is not None or self.labelled_fraction < 1

    @property
    def split_names(self) -> tuple[str, ...]:
        """The names of the splits that there are."""
        unlabelled = (UNLABELLED,) if self.has_unlabelled else ()
        reference = (REFERENCE,) if self.reference is not None else ()
        return (*SPLITS, *unlabelled, *reference)

    @property
    def beside(self) -> tuple[str, ...]:
        """The folders of further images, which may lie among the folders of the data."""
        return tuple(path for path in (self.unlabelled, self.reference) if path is not None)

    @property
    def has_spans(self) -> bool:
        """Whether the images come span by span."""
        return False

    @property
    def may_have_spans(self) -> bool:
        """Whether the images could come span by span, if the location said so."""
        return False

    @property
    def has_weights(self) -> bool:
        """Whether each example has a weight."""
        return False

    @abc.abstractmethod
    def make_source(self) -> Source:
        """Returns the source that these settings describe; nothing is read yet."""

    def pinned(self) -> Self:
        """Returns settings that name the newest span, so that one that comes later is not read.

        Raises:
          InputError: There is no span yet.
        """
        return self
