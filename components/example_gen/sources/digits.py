"""The handwritten digits that come with scikit-learn: no network, no file."""

import dataclasses
import importlib.metadata
import io
from collections.abc import Iterator
from typing import Any, Literal

from components.example_gen import splitting
from components.example_gen.source import Record, Source, SourceSettings
from components.example_gen.splitting import SplitFractions

NUM_IMAGES = 1797


class DigitsData(SourceSettings):
    """The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

    source: Literal["digits"]
    split_fractions: SplitFractions = SplitFractions(train=0.6, validation=0.2, test=0.2)

    def make_source(self) -> "DigitsSource":
        """Returns the digits, split as these settings say."""
        return DigitsSource(self)


@dataclasses.dataclass(frozen=True)
class DigitsSource(Source):
    """1,797 greyscale images of 8x8 pixels, in ten classes."""

    settings: DigitsData

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten digits."""
        return tuple("0123456789")

    def check(self) -> None:
        """Refuses fractions that leave a split without images."""
        counts = {split: len(ids) for split, ids in self._members().items()}
        splitting.check_none_empty(counts, fractions=self._fractions)

    def fingerprint(self) -> str:
        """Returns the version of scikit-learn, which brings the images."""
        return f"scikit-learn-{importlib.metadata.version('scikit-learn')}"

    def shards(self, split: str) -> list[tuple[str, ...]]:
        """Returns the shards of a split, as the ids of their images."""
        return splitting.in_shards(self._members()[split])

    def read(self, shard: tuple[str, ...]) -> Iterator[Record]:
        """Reads one shard; the images are encoded as PNG."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        for name in shard:
            index = int(name.removeprefix("digits/"))
            yield Record(name, _encode(digits.images[index]), int(digits.target[index]))

    @property
    def _fractions(self) -> dict[str, float]:
        return self.settings.split_fractions.model_dump()

    def _members(self) -> dict[str, list[str]]:
        ids = (f"digits/{index:04d}" for index in range(NUM_IMAGES))
        return splitting.assign(ids, fractions=self._fractions)


def _encode(image: Any) -> bytes:
    """Encodes intensities from 0 to 16 as a greyscale PNG of the full range."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((image * 255 / 16).round().astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()
