"""The student that was pushed last, which a new one has to stand up to."""

import pathlib

# What stands for a version where there is none.
NO_INCUMBENT = "none"


def newest_version(push_directory: pathlib.Path) -> str | None:
    """Returns the name of the newest model that TFX's Pusher has left in a directory, or None."""
    if not push_directory.is_dir():
        return None
    versions = [path.name for path in push_directory.iterdir() if path.name.isdecimal()]
    return max(versions, key=int, default=None)
