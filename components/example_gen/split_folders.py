"""Folders that are splits, by the names that people give them."""

from collections.abc import Iterable

from components.errors import InputError

NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}

_SPLITS = {name: split for split, names in NAMES.items() for name in names}


def split_of(folder: str) -> str | None:
    """Returns the split that a folder's name means, in whatever case, or None."""
    return _SPLITS.get(folder.lower())


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
