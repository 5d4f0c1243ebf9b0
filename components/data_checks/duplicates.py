"""Images that are held out and among the training images too, the same file or nearly the same picture."""

import itertools
from collections.abc import Iterable, Iterator

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
_COMPARED_AT_ONCE = 100_000  # More images take more memory, fewer more time.
_KEPT = 20
_NAMED = 3


def find(held_out: Iterable[pa.Table], *, training: Iterable[pa.Table], split: str) -> Duplicates:
    """Finds the images of a held-out split that are among the training images too.

    The tables are gone through several times; in memory there is of the training images a part at a time.

    Args:
      held_out: Their descriptors, in any number of tables; see `components.data_checks.descriptors`.
      training: Those of the training images.
      split: The name of the held-out split.
    """
    exact = find_exact(held_out, among=training)
    near = {name: other for name, other in _find_near(held_out, training).items() if name not in exact}
    same = [DuplicatePair(image=name, training_image=exact[name], kind="exact") for name in sorted(exact)]
    alike = [DuplicatePair(image=name, training_image=near[name], kind="near") for name in sorted(near)]
    return Duplicates(
        split=split,
        images=sum(map(len, held_out)),
        exact=len(exact),
        near=len(near),
        pairs=tuple([*same, *alike][:_KEPT]),
    )


def find_exact(images: Iterable[pa.Table], *, among: Iterable[pa.Table]) -> dict[str, str]:
    """Finds the images that are the same files as others.

    Args:
      images: Their descriptors, in any number of tables; see `components.data_checks.descriptors`.
      among: Those of the others, of which there may be many.

    Returns:
      The id of the first such other image by the id of the image.
    """
    digests_of = dict(digests(images))
    wanted = set(digests_of.values())
    first: dict[bytes, str] = {}
    for other, digest in digests(among):
        if digest in wanted:
            first.setdefault(digest, other)
    return {name: first[digest] for name, digest in digests_of.items() if digest in first}


def digests(tables: Iterable[pa.Table]) -> Iterator[tuple[str, bytes]]:
    """Yields the id of each image, and the SHA-256 of its file; see `find_exact`."""
    for table in tables:
        yield from zip(table["id"].to_pylist(), table["sha256"].to_pylist(), strict=True)


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


def _find_near(held_out: Iterable[pa.Table], training: Iterable[pa.Table]) -> dict[str, str]:
    """Returns the most similar training image of each held-out one that has one, by their ids."""
    best: dict[str, tuple[float, str]] = {}
    for ours in _looks(held_out):
        for theirs in _looks(training):
            for name, found in _most_similar(ours, theirs).items():
                best[name] = max(found, best.get(name, found), key=lambda pair: pair[0])
    return {name: other for name, (_, other) in best.items()}


def _looks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields how images look that have a perceptual hash, `_COMPARED_AT_ONCE` or somewhat more in a table."""
    parts: list[pa.Table] = []
    for table in tables:
        parts.append(table.select(["id", "phash", "thumbnail"]).filter(pc.is_valid(table["phash"])))
        if sum(map(len, parts)) >= _COMPARED_AT_ONCE:
            yield pa.concat_tables(parts)
            parts = []
    if any(map(len, parts)):
        yield pa.concat_tables(parts)


def _most_similar(ours: pa.Table, theirs: pa.Table) -> dict[str, tuple[float, str]]:
    """Returns, by the ids of ours, how similar the most similar one of theirs is, and its id."""
    names, other_names = ours["id"], theirs["id"]
    thumbnails, other_thumbnails = _thumbnails(ours), _thumbnails(theirs)
    best: dict[int, tuple[float, int]] = {}
    for row, candidates in _similar_hashes(ours["phash"].to_numpy(), theirs["phash"].to_numpy()):
        correlations = _standardised(other_thumbnails[candidates]) @ _standardised(thumbnails[row])
        closest = int(np.argmax(correlations))
        if correlations[closest] >= max(_LEAST_CORRELATION, best.get(row, (0.0, 0))[0]):
            best[row] = (float(correlations[closest]), int(candidates[closest]))
    return {names[row].as_py(): (how, other_names[other].as_py()) for row, (how, other) in best.items()}


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


def _thumbnails(table: pa.Table) -> np.ndarray:
    """Returns the thumbnails, uint8 `[images, pixels]`."""
    return np.frombuffer(b"".join(table["thumbnail"].to_pylist()), np.uint8).reshape(-1, THUMBNAIL_SIDE**2)


def _standardised(thumbnails: np.ndarray) -> np.ndarray:
    """Shifts and scales thumbnails `[..., pixels]` so that their products are correlations."""
    centred = thumbnails - thumbnails.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / np.where(norms > 0, norms, 1)
