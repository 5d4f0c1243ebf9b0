"""What a finished run has left in its workspace, read again; nothing is run, and TFX is not imported."""

import json
import pathlib
from typing import Any

from pydantic import ValidationError

from components.errors import InputError
from components.files import read_json, write_json, write_text
from components.layout import DISAGREEMENTS_FILE, REPORT_FILE, SUMMARY_FILE
from components.report.summary import SCHEMA_VERSION, Summary
from components.settings.explaining import explain
from components.storage import files
from components.storage.uri import is_remote, join


def write_results(summary: Summary, *, workspace: pathlib.Path) -> None:
    """Writes `summary.json` and `report.html` into the workspace of a run."""
    write_json(workspace / SUMMARY_FILE, summary.model_dump(mode="json"))
    write_report(summary, workspace=workspace)


def write_report(summary: Summary, *, workspace: pathlib.Path) -> pathlib.Path:
    """Writes `report.html` from a summary and the images that the run's evaluation has stored.

    Args:
      summary: That of the run.
      workspace: The directory of the run.

    Returns:
      The path of the page.
    """
    from components.report.page import render

    pushed = summary.pushed_model and shorten(summary.pushed_model, workspace=workspace)
    shown = summary.model_copy(update={"pushed_model": pushed})
    page = workspace / REPORT_FILE
    write_text(page, render(shown, disagreements=_read_disagreements(summary, workspace=workspace)))
    return page


def read_summary(workspace: pathlib.Path) -> Summary:
    """Reads what the latest finished run in a workspace has measured.

    Args:
      workspace: The directory of the run.

    Returns:
      Its summary.

    Raises:
      InputError: No run has finished there, or its summary cannot be read.
    """
    path = workspace / SUMMARY_FILE
    try:
        content = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{workspace} holds no {SUMMARY_FILE}; give the workspace of a run that has finished."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); run the experiment again to replace it."
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}, but only {SCHEMA_VERSION} can be read; "
            "run the experiment again with this program."
        )
    try:
        return Summary.model_validate(content)
    except ValidationError as error:
        problem = explain(error, given=content)[0]
        raise InputError(
            f"{path} cannot be read ({problem}); run the experiment again to replace it."
        ) from None


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


def _read_disagreements(summary: Summary, *, workspace: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the images on which the models differ; none where they are gone."""
    for artifact in summary.lineage:
        if (artifact.node, artifact.output) == ("Evaluator", "evaluation"):
            place = artifact.uri if is_remote(artifact.uri) else str(workspace / artifact.uri)
            found = join(place, DISAGREEMENTS_FILE)
            return files.read_json(found)["images"] if files.is_file(found) else []
    return []


def shorten(path: str, *, workspace: pathlib.Path) -> str:
    """Returns a path relative to the workspace if it lies inside."""
    root = workspace.absolute()
    return str(pathlib.Path(path).relative_to(root)) if pathlib.Path(path).is_relative_to(root) else path
