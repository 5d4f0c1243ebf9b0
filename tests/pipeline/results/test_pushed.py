"""The commands that tell and change what ships, as a user types them."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from components.serving.versions import Origin, Versions
from pipeline.results.pushed import find_versions, to_json

TESTS = pathlib.Path(__file__).parents[2]


def finished_run(workspace: pathlib.Path, *, directory: str | None) -> pathlib.Path:
    """Writes the summary of a run that pushed to a directory."""
    summary = json.loads((TESTS / "example_summary.json").read_text())
    summary["configuration"]["push"] = {"directory": directory, "keep": None}
    workspace.mkdir()
    (workspace / "summary.json").write_text(json.dumps(summary))
    return workspace


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> pathlib.Path:
    """A workspace with two students that were pushed, and one that was refused between them."""
    workspace = finished_run(tmp_path / "run", directory=None)
    versions = Versions(workspace / "pushed")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").touch()
    origin = Origin(reason="It is good.", student="kd", accuracy=0.91234, test_examples=100)
    versions.push(tmp_path / "model", origin=origin)
    versions.refuse(tmp_path / "model", origin=Origin(reason="It is slow.", student="dkd", accuracy=0.8))
    versions.push(tmp_path / "model", origin=origin)
    return workspace


def test_what_ships_can_be_told_taken_back_and_decided(
    workspace: pathlib.Path, tmp_path: pathlib.Path, distill: Callable[..., Any]
) -> None:
    first, refused, second = (entry.version for entry in Versions(workspace / "pushed").history())

    told = distill("history", "--workspace", workspace, directory=tmp_path)
    back = distill("rollback", "--workspace", workspace, directory=tmp_path)
    decided = distill(
        *("promote", refused, "--reason", "fast enough", "--workspace", workspace),
        *("--serving-config", "models.config"),
        directory=tmp_path,
    )
    again = distill("history", "--workspace", workspace / "pushed", directory=tmp_path)

    assert [each.returncode for each in (told, back, decided, again)] == [0, 0, 0, 0]
    (shipped,) = (line for line in told.stdout.splitlines() if " ships " in line)
    assert second in shipped
    assert "91.23" in shipped
    assert back.stdout == f"Version {first} ships, in the place of {second}.\n"
    assert decided.stdout == f"Version {refused} ships, in the place of {first}.\nWrote models.config.\n"
    config = (tmp_path / "models.config").read_text()
    assert f"versions: {refused}" in config
    assert f'base_path: "{workspace / "pushed"}"' in config
    (shipped,) = (line for line in again.stdout.splitlines() if " ships " in line)
    assert all(text in shipped for text in ("promoted", refused, "fast enough"))


def test_the_history_as_json_is_for_scripts(workspace: pathlib.Path) -> None:
    told = json.loads(to_json(find_versions(workspace)))

    assert [entry["event"] for entry in told["history"]] == ["pushed", "refused", "pushed"]
    assert told["shipping"] == told["history"][2]["version"]
    assert told["history"][1]["reason"] == "It is slow."


def test_before_anything_was_pushed_that_is_said(tmp_path: pathlib.Path, distill: Callable[..., Any]) -> None:
    workspace = finished_run(tmp_path / "run", directory=str(tmp_path / "models"))

    told = distill("history", "--workspace", workspace, directory=tmp_path)
    refused = distill("rollback", "--workspace", workspace, directory=tmp_path)

    assert told.stdout == f"Nothing was pushed to {tmp_path / 'models'} yet.\n"
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"distill: {tmp_path / 'models'} holds no version yet; nothing is changed"
    )
    assert not (tmp_path / "models").exists()


def test_in_an_object_store_is_a_history_too(
    tmp_path: pathlib.Path, bucket: str, distill: Callable[..., Any]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").touch()
    run = finished_run(tmp_path / "run", directory=bucket)
    versions = find_versions(run)
    first, second = (versions.push(model, origin=Origin(reason="")).version for _ in range(2))

    back = distill("rollback", "--workspace", bucket, "--serving-config", "models.config", directory=tmp_path)
    told = distill("history", "--workspace", run, "--json", directory=tmp_path)

    assert back.stdout == f"Version {first} ships, in the place of {second}.\nWrote models.config.\n"
    assert f'base_path: "{bucket}"' in (tmp_path / "models.config").read_text()
    assert json.loads(told.stdout)["shipping"] == first


def test_the_history_is_drawn_with_what_was_refused(
    workspace: pathlib.Path, tmp_path: pathlib.Path, distill: Callable[..., Any]
) -> None:
    for name in ("history.svg", "history.png"):
        drawn = distill("history", "--workspace", workspace, "--plot", name, directory=tmp_path)
        assert (drawn.returncode, drawn.stdout) == (0, f"Wrote {name}.\n")
    text = (tmp_path / "history.svg").read_text()
    for words in ("pushed, on the test split", "refused, on the test split", "accuracy"):
        assert f"<!-- {words} -->" in text
    assert "on the reference images" not in text
    with Image.open(tmp_path / "history.png") as image:
        assert image.size == (1050, 540)


def test_what_was_measured_on_reference_images_is_drawn_too(
    workspace: pathlib.Path, tmp_path: pathlib.Path, distill: Callable[..., Any]
) -> None:
    model = tmp_path / "another model"
    model.mkdir()
    (model / "saved_model.pb").touch()
    origin = Origin(reason="", accuracy=0.9, reference_accuracy=0.8)
    find_versions(workspace).push(model, origin=origin)
    distill("history", "--workspace", workspace, "--plot", "history.svg", directory=tmp_path)
    text = (tmp_path / "history.svg").read_text()
    assert "<!-- pushed, on the reference images -->" in text
    assert "<!-- refused, on the reference images -->" not in text


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("history.txt", "--plot history.txt: got the suffix '.txt'; allowed: .svg, .png, .pdf."),
        ("missing/history.svg", "--plot missing/history.svg: cannot be written (No such file or directory)."),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(
    workspace: pathlib.Path, tmp_path: pathlib.Path, distill: Callable[..., Any], file: str, message: str
) -> None:
    refused = distill("history", "--workspace", workspace, "--plot", file, directory=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"distill: {message}")


def test_a_history_without_accuracies_cannot_be_drawn(
    tmp_path: pathlib.Path, distill: Callable[..., Any]
) -> None:
    workspace = finished_run(tmp_path / "run", directory=None)
    refused = distill("history", "--workspace", workspace, "--plot", "history.svg", directory=tmp_path)
    assert refused.returncode == 2
    assert "holds no history with accuracies; run an experiment first." in refused.stderr
