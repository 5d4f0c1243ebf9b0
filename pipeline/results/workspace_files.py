"""The report of a finished run, from what the run has stored; nothing is run, and TFX is not imported."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from components.errors import InputError
from components.files import read_json, write_text
from components.layout import DISAGREEMENTS_FILE, REPORT_FILE, SUMMARY_FILE

SCHEMA_VERSION = 1


def write_report(workspace: pathlib.Path) -> pathlib.Path:
    """Writes `report.html` from the summary and the artifacts of the latest finished run in a workspace.

    Args:
      workspace: The directory of the run.

    Returns:
      The path of the page.

    Raises:
      InputError: No run has finished there, or its summary cannot be read.
    """
    summary = read_summary(workspace)
    from components.report.page import render

    shown = dict(summary)
    if summary.get("pushed_model"):
        shown["pushed_model"] = _shorten(summary["pushed_model"], workspace=workspace)
    page = workspace / REPORT_FILE
    write_text(page, render(shown, disagreements=_read_disagreements(summary, workspace=workspace)))
    return page


def read_summary(workspace: pathlib.Path) -> dict[str, Any]:
    """Reads what the latest finished run in a workspace has measured.

    Args:
      workspace: The directory of the run.

    Returns:
      The content of its `summary.json`.

    Raises:
      InputError: No run has finished there, or its summary cannot be read.
    """
    path = workspace / SUMMARY_FILE
    try:
        summary = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{workspace} holds no {SUMMARY_FILE}; give the workspace of a run that has finished."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); run the experiment again to mend it.") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}, but only {SCHEMA_VERSION} can be read; "
            "run the experiment again with this program."
        )
    return summary


def latest_workspace(runs: pathlib.Path) -> pathlib.Path:
    """Returns the workspace whose run finished last, of those in a directory.

    Args:
      runs: The directory of the workspaces.

    Raises:
      InputError: No run has finished there.
    """
    summaries = sorted(runs.glob(f"*/{SUMMARY_FILE}"), key=lambda path: path.stat().st_mtime)
    if not summaries:
        raise InputError(f"{runs} holds no finished run; give a workspace with --workspace.")
    return summaries[-1].parent


def _read_disagreements(summary: Mapping[str, Any], *, workspace: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the images on which the models differ; none where the run stored none or they are gone."""
    for artifact in summary.get("lineage", ()):
        if (artifact["node"], artifact["output"]) == ("Evaluator", "evaluation"):
            folder = workspace / artifact["uri"]
            if (folder / DISAGREEMENTS_FILE).is_file():
                return read_json(folder / DISAGREEMENTS_FILE)["images"]
    return []


def _shorten(path: str, *, workspace: pathlib.Path) -> str:
    """Returns a path relative to the workspace if it lies inside."""
    if not pathlib.Path(path).is_relative_to(workspace.absolute()):
        return path
    return str(pathlib.Path(path).relative_to(workspace.absolute()))
