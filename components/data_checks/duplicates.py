"""Images that are held out and among the training images too, the same file or nearly the same picture."""

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.data_checks.descriptors import THUMBNAIL_SIDE
from components.errors import InputError
from components.report.summary import DuplicatePair, Duplicates

# Two images are nearly the same if so few bits of their perceptual hashes differ, and if their thumbnails are
# so much alike, whatever their brightness and contrast.
_MOST_BITS = 4
_LEAST_CORRELATION = 0.99

_HASH_BITS = 64
_READ_AT_ONCE = 10_000
_KEPT = 20
_NAMED = 3


def find(held_out: pa.Table, *, training: pa.Table, split: str) -> Duplicates:
    """Finds the images of a held-out split that are among the training images too.

    Args:
      held_out: Their descriptors; see `components.data_checks.descriptors`.
      training: Those of the training images.
      split: The name of the held-out split.
    """
    exact = find_exact(held_out, among=training)
    near = {name: other for name, other in _find_near(held_out, training).items() if name not in exact}
    same = [DuplicatePair(image=name, training_image=exact[name], kind="exact") for name in sorted(exact)]
    alike = [DuplicatePair(image=name, training_image=near[name], kind="near") for name in sorted(near)]
    return Duplicates(
        split=split,
        images=len(held_out),
        exact=len(exact),
        near=len(near),
        pairs=tuple([*same, *alike][:_KEPT]),
    )


def find_exact(images: pa.Table, *, among: pa.Table) -> dict[str, str]:
    """Finds the images that are the same files as others.

    Args:
      images: Their descriptors; see `components.data_checks.descriptors`.
      among: Those of the others.

    Returns:
      The id of the first such other image by the id of the image.
    """
    digests = dict(zip(_column(images, "id"), _column(images, "sha256"), strict=True))
    wanted = set(digests.values())
    first: dict[bytes, str] = {}
    # The others may be many: no more than some of them are made objects of Python at once.
    for batch in among.select(["sha256", "id"]).to_batches(max_chunksize=_READ_AT_ONCE):
        for digest, other in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if digest in wanted:
                first.setdefault(digest, other)
    return {name: first[digest] for name, digest in digests.items() if digest in first}


def refuse(found: Duplicates) -> None:
    """Refuses data of which images are both held out and trained on.

    Raises:
      InputError: There are such images.
    """
    if found.exact or found.near:
        raise InputError(f"{describe(found)}; remove them from one of the two, or set duplicates: warn.")


def describe(found: Duplicates) -> str:
    """Says how many images were found, and names the first few."""
    total = found.exact + found.near
    named = [
        f"{pair.image} is {'' if pair.kind == 'exact' else 'nearly '}{pair.training_image}"
        for pair in found.pairs[:_NAMED]
    ]
    more = f" and {total - _NAMED:,} more" if total > _NAMED else ""
    return (
        f"{total:,} of the {found.images:,} {found.split} images are among the training images too "
        f"({found.exact:,} exact, {found.near:,} near duplicates): {', '.join(named)}{more}"
    )


def _find_near(held_out: pa.Table, training: pa.Table) -> dict[str, str]:
    """Returns the most similar training image of each held-out one that has one, by their ids."""
    ours, theirs = (table.filter(pc.is_valid(table["phash"])) for table in (held_out, training))
    names, other_names = ours["id"], theirs["id"]
    thumbnails, other_thumbnails = _thumbnails(ours), _thumbnails(theirs)
    best: dict[int, tuple[float, int]] = {}
    for row, candidates in _similar_hashes(ours["phash"].to_numpy(), theirs["phash"].to_numpy()):
        correlations = _standardised(other_thumbnails[candidates]) @ _standardised(thumbnails[row])
        closest = int(np.argmax(correlations))
        if correlations[closest] >= max(_LEAST_CORRELATION, best.get(row, (0.0, 0))[0]):
            best[row] = (float(correlations[closest]), int(candidates[closest]))
    return {names[row].as_py(): other_names[candidate].as_py() for row, (_, candidate) in best.items()}


def _similar_hashes(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields rows of ours with the rows of theirs whose hashes differ in few bits, some pairs several times.

    If the bits are cut into one part more than there may be different ones, at least one part is the same in
    both hashes. So only hashes that share a part are compared: Norouzi et al., "Fast exact search in Hamming
    space", 2012, https://arxiv.org/abs/1307.2982.

    Args:
      ours: uint64 `[images]`.
      theirs: uint64 `[other images]`.
    """
    ends = np.linspace(0, _HASH_BITS, _MOST_BITS + 2).astype(np.uint64)
    for low, high in itertools.pairwise(ends):
        mask = (np.uint64(1) << (high - low)) - np.uint64(1)
        part, other_part = (ours >> low) & mask, (theirs >> low) & mask
        order = np.argsort(other_part, kind="stable")
        starts = np.searchsorted(other_part[order], part, side="left")
        stops = np.searchsorted(other_part[order], part, side="right")
        for row in np.flatnonzero(starts < stops):
            same_part = order[starts[row] : stops[row]]
            similar = same_part[np.bitwise_count(theirs[same_part] ^ ours[row]) <= _MOST_BITS]
            if len(similar):
                yield int(row), similar


def _column(table: pa.Table, name: str) -> list:
    return table[name].to_pylist()


def _thumbnails(table: pa.Table) -> np.ndarray:
    """Returns the thumbnails, uint8 `[images, pixels]`."""
    return np.frombuffer(b"".join(_column(table, "thumbnail")), np.uint8).reshape(-1, THUMBNAIL_SIDE**2)


def _standardised(thumbnails: np.ndarray) -> np.ndarray:
    """Shifts and scales thumbnails `[..., pixels]` so that their products are correlations."""
    centred = thumbnails - thumbnails.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / np.where(norms > 0, norms, 1)
