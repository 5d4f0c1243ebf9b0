"""Reading and writing small files, whole or not at all."""

import json
import pathlib
from typing import Any


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes a JSON file; see `write_text`."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file; until all of it is written, what was there before stays.

    Args:
      path: The file; its directory exists.
      text: Its content, written as UTF-8.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
