"""Which data a student was made from: small enough to be kept with each."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

import pyarrow as pa

from components.files import read_json
from components.report.summary import DataSpan, Part


class DataIdentity(Part):
    """Which data a student was made from.

    Attributes:
      spans: The spans that were read, the newest last; none of data that do not come in spans.
      fingerprint: See `fingerprint`.
    """

    spans: tuple[DataSpan, ...]
    fingerprint: str


def fingerprint(descriptors: Mapping[str, pa.Table]) -> str:
    """Returns a SHA-256, in hexadecimal, of the images and their labels, whatever their names and order.

    Args:
      descriptors: Those of the images of each split; see `components.data_checks.descriptors`.
    """
    whole = hashlib.sha256()
    for split, table in sorted(descriptors.items()):
        whole.update(f"{split} {len(table)}\n".encode())
        for image in sorted(_images(table)):
            whole.update(image)
    return whole.hexdigest()


def read_identity(path: pathlib.Path) -> DataIdentity | None:
    """Reads which data it was; None where that was never noted, as by earlier versions of this program."""
    try:
        return DataIdentity.model_validate(read_json(path))
    except (OSError, ValueError):
        return None


def _images(table: pa.Table) -> Iterable[bytes]:
    """Returns the hash of each image's file, with its label."""
    for content, label in zip(table["sha256"].to_pylist(), table["label"].to_pylist(), strict=True):
        yield content + label.to_bytes(8, "big", signed=True)
