"""Splits as people have them: what they call them, and what is held out of train where one is missing."""

import re
from collections.abc import Collection, Iterable, Mapping

from components.errors import InputError
from components.layout import SPLITS

NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}

_SPLITS = {name: split for split, names in NAMES.items() for name in names}


def split_of(folder: str) -> str | None:
    """Returns the split that a folder's name means, in whatever case, or None."""
    return _SPLITS.get(folder.lower())


def split_of_images(folder: str) -> str | None:
    """Returns the split that a folder beside a list means, such as `train_images`, or None."""
    return split_of(re.split("[_-]", folder)[0])


def by_split(folders: Iterable[str], *, parent: str) -> dict[str, str]:
    """Returns the folder of each split that has one.

    Args:
      folders: Names of folders; those that mean no split are left out.
      parent: Where they lie, for the message.

    Raises:
      InputError: Two of them mean the same split.
    """
    found: dict[str, str] = {}
    for folder in folders:
        split = split_of(folder)
        if split is None:
            continue
        if split in found:
            raise InputError(
                f"data.path: {parent!r} holds {found[split]!r} and {folder!r}, and either may be the {split} "
                "split; rename or move one of them."
            )
        found[split] = folder
    return found


def missing(found: Collection[str]) -> list[str]:
    """Returns the splits that have to be held out of train, besides those that were found."""
    return [split for split in SPLITS if split != "train" and split not in found]


def describe_held_out(held_out: Iterable[str], *, fractions: Mapping[str, float], train: str) -> str:
    """Says what is held out of train.

    Args:
      held_out: The splits.
      fractions: The shares of all splits.
      train: How the user calls what they are held out of.
    """
    whole = fractions["train"] + sum(fractions[split] for split in held_out)
    shares = " and ".join(f"{split} ({fractions[split] / whole:.0%} of it)" for split in held_out)
    return f"held out of {train} by a hash of each path: {shares}"
