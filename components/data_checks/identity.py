"""Which data a student was made from: small enough to be kept with each."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from components.files import read_json
from components.report.summary import DataSpan, Part

_DIGEST: Final = 32  # Bytes of a SHA-256,
_LABEL: Final = 8  # and of a label.
_IMAGE: Final = np.dtype((np.bytes_, _DIGEST + _LABEL))


class DataIdentity(Part):
    """Which data a student was made from.

    Attributes:
      spans: The spans that were read, the newest last; none of data that do not come in spans.
      fingerprint: See `fingerprint`.
    """

    spans: tuple[DataSpan, ...]
    fingerprint: str


def fingerprint(descriptors: Mapping[str, Iterable[pa.Table]]) -> str:
    """Returns a SHA-256, in hexadecimal, of the images and their labels, whatever their names and order.

    Args:
      descriptors: Those of the images of each split; see `components.data_checks.descriptors`.
    """
    whole = hashlib.sha256()
    for split, tables in sorted(descriptors.items()):
        images = np.concatenate([np.empty(0, _IMAGE), *map(_images, tables)])
        images.sort()
        whole.update(f"{split} {len(images)}\n".encode())
        whole.update(images.data)
    return whole.hexdigest()


def read_identity(path: pathlib.Path) -> DataIdentity | None:
    """Reads which data it was; None where that was never noted, as by earlier versions of this program."""
    try:
        return DataIdentity.model_validate(read_json(path))
    except (OSError, ValueError):
        return None


def _images(table: pa.Table) -> np.ndarray:
    """Returns the hash of each image's file and its label, as `_IMAGE` `[images]`."""
    images = np.empty((len(table), _DIGEST + _LABEL), np.uint8)
    digests = b"".join(table["sha256"].to_pylist())
    images[:, :_DIGEST] = np.frombuffer(digests, np.uint8).reshape(-1, _DIGEST)
    images[:, _DIGEST:] = table["label"].to_numpy().astype(">i8").view(np.uint8).reshape(-1, _LABEL)
    return images.reshape(-1).view(_IMAGE)
