"""What a workspace has pushed: where, which version ships, and what shipped before. TFX is not imported."""

import dataclasses
import json
import pathlib

from rich import box
from rich.table import Table
from rich.text import Text

from components.layout import CHAMPION_FILE, PUSH_HISTORY_FILE, PUSHED_DIRECTORY
from components.report.wording import percent
from components.serving.versions import Versions
from components.storage.uri import is_remote
from pipeline.results.workspace_files import read_summary

_SHIPS = "ships"


def find_versions(place: pathlib.Path | str) -> Versions:
    """Finds the versions that a run has pushed.

    Args:
      place: The workspace of a finished run, or the directory that students are pushed to, which may be the
        URI of an object store.

    Raises:
      InputError: There is none.
    """
    if is_remote(str(place)):
        return Versions(str(place))
    place = pathlib.Path(place)
    if (place / CHAMPION_FILE).exists() or (place / PUSH_HISTORY_FILE).exists():
        return Versions(place)
    directory = read_summary(place).configuration.get("push", {}).get("directory")
    return Versions(directory or place / PUSHED_DIRECTORY)


def to_json(versions: Versions) -> str:
    """Writes the history, the oldest first, as `{"shipping": version, "history": [...]}`."""
    history = [dataclasses.asdict(entry) for entry in versions.history()]
    return json.dumps({"shipping": versions.shipping(), "history": history}, indent=2, ensure_ascii=False)


def to_table(versions: Versions) -> Table:
    """Lays the history out for a reader, the oldest first; marked is since when the one that ships does."""
    table = Table(
        "time", "event", "version", "student", "accuracy", "", "why", box=box.SIMPLE, pad_edge=False
    )
    history, champion = versions.history(), versions.champion()
    for entry in history:
        accuracy = "" if entry.accuracy is None else percent(entry.accuracy, decimals=2)
        mark = _SHIPS if entry == champion and entry.version == versions.shipping() else ""
        row = (entry.time, entry.event, entry.version, entry.student, accuracy, mark, entry.reason)
        table.add_row(*map(Text, row), style="bold" if mark else "")
    return table
