"""Files that may hold images, as their kind, their name and their time of change tell."""

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Final

from components.errors import InputError
from components.storage.listed import DataPath, check_reached

SUFFIXES: Final = (".jpg", ".jpeg", ".png")
KINDS: Final = ".jpg, .jpeg or .png"  # The same for a reader.

_OTHER_KIND = f"not a {KINDS} file"
# Opening one of these waits for whoever writes to it, for ever if nobody does.
_IRREGULAR = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
_DEVICE = "a device"


def check_folder(folder: DataPath, *, given: str, wanted: str) -> None:
    """Refuses what is no folder.

    Args:
      folder: Where it should be.
      given: What the user gave, as the beginning of a sentence.
      wanted: What to give, such as `a folder of images`.

    Raises:
      InputError: There is nothing, or a file.
    """
    check_reached(folder, given=given)
    if not folder.exists():
        raise InputError(f"{given} does not exist; give {wanted}.")
    if not folder.is_dir():
        raise InputError(f"{given} is a file; give {wanted}.")


def is_image(name: str) -> bool:
    """Tells whether a file is an image by its name."""
    return name.lower().endswith(SUFFIXES)


def find_problem(file: DataPath) -> str | None:
    """Says why a file is left out, by its kind and name alone; a link counts as what it leads to."""
    return find_irregularity(file) or (None if is_image(file.name) else _OTHER_KIND)


def find_irregularity(file: DataPath) -> str | None:
    """Names the kind of a file that is no regular one; None for what cannot be found, as reading will say."""
    try:
        kind = stat.S_IFMT(file.stat().st_mode)
    except (OSError, ValueError):  # No name of a file holds a NUL.
        return None
    return None if kind == stat.S_IFREG else _IRREGULAR.get(kind, _DEVICE)


def printable(path: str) -> str:
    """Turns a file name that is not UTF-8 into text that is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def fingerprint(root: DataPath, paths: Iterable[str], *, about: str = "") -> str:
    """Returns a hash over the path, size and time of change of files.

    Args:
      root: The folder that they lie in.
      paths: Relative to it.
      about: What else decides the data.
    """
    digest = hashlib.sha256(about.encode())
    for path in sorted(paths):
        file = root / path
        status = file.stat() if file.exists() else file.lstat()
        digest.update(f"{path!r} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
