import json
import os
import pathlib
import subprocess
import sys

import pytest

from components.errors import InputError
from pipeline.results.compare import read_runs
from pipeline.results.workspace_files import latest_workspace, read_summary, write_report

TESTS = pathlib.Path(__file__).parents[2]


@pytest.fixture
def make_workspace(tmp_path):
    """Writes what a finished run leaves behind: the summary, and the images on which models differ."""

    def make(name, **changes):
        workspace = tmp_path / name
        summary = json.loads((TESTS / "example_summary.json").read_text())
        (place,) = (each["uri"] for each in summary["lineage"] if each["output"] == "evaluation")
        evaluation = workspace / place
        evaluation.mkdir(parents=True)
        (evaluation / "disagreements.json").write_text((TESTS / "example_disagreements.json").read_text())
        (workspace / "summary.json").write_text(json.dumps(summary | changes))
        return workspace

    return make


def rewrite(workspace):
    return write_report(read_summary(workspace), workspace=workspace).read_text()


def test_the_page_is_rebuilt_with_images_and_with_paths_inside_the_workspace(make_workspace):
    workspace = make_workspace("run")
    changed = make_workspace("pushed", pushed_model=str(workspace.parent / "pushed" / "pushed" / "17"))
    assert rewrite(workspace).count("<img") == 6
    page = rewrite(changed)
    assert "<code>pushed/17</code>" in page
    assert str(changed) not in page


def test_images_that_are_gone_are_no_obstacle(make_workspace):
    workspace = make_workspace("run")
    for images in workspace.rglob("disagreements.json"):
        images.unlink()
    page = rewrite(workspace)
    assert "is the student good enough" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no summary.json; give the workspace of a run that has finished."),
        ("{", "cannot be read"),
        ("[]", "has schema version None, but only 1 can be read"),
        ('{"schema_version": 99}', "has schema version 99, but only 1 can be read"),
    ],
)
def test_what_is_no_finished_run_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_summary(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"candidate": "kd"},
            r"cannot be read \(.*models lacks 'kd'\); run the experiment again to replace it",
        ),
        ({"seed": "x"}, r"cannot be read \(seed: .*\); run"),
        ({"verdicts": []}, r"cannot be read \(verdicts: got \[\]; Extra"),
    ],
)
def test_a_summary_that_does_not_hold_what_it_should_is_refused(make_workspace, change, message):
    with pytest.raises(InputError, match=message) as caught:
        read_summary(make_workspace("run", **change))
    assert "\n" not in str(caught.value)


def test_the_latest_run_is_the_one_that_finished_last(make_workspace):
    first, second = make_workspace("runs/b"), make_workspace("runs/a")
    os.utime(first / "summary.json", (2_000_000_000, 2_000_000_000))
    assert latest_workspace(first.parent) == first
    os.utime(second / "summary.json", (2_000_000_001, 2_000_000_001))
    assert latest_workspace(first.parent) == second
    with pytest.raises(InputError, match="holds no finished run"):
        latest_workspace(first)


def test_report_command(make_workspace, distill):
    workspace = make_workspace("runs/a")
    finished = distill("report", directory=workspace.parents[1])
    assert (finished.returncode, finished.stdout) == (0, "Wrote runs/a/report.html.\n")
    opened = subprocess.run(  # A process of its own, as it asks once which browser there is.
        [sys.executable, "-m", "pipeline", "report", "--workspace", workspace, "--open"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"BROWSER": "true"},
    )
    assert (opened.returncode, opened.stderr) == (0, "")
    missing = distill("report", "--workspace", "nowhere", directory=workspace)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == (
        "distill: nowhere holds no summary.json; give the workspace of a run that has finished.\n"
    )


def test_compare_command(make_workspace, distill):
    workspaces = [make_workspace("a"), make_workspace("b", blessed=True, test_examples=299)]
    folder = workspaces[0].parent
    finished = distill("compare", "a", "b", directory=folder)
    assert finished.returncode == 0, finished.stderr
    lines = [line.split() for line in finished.stdout.splitlines()]
    assert ["a", "no", "kd_t2"] in [line[:3] for line in lines]
    assert ["b", "yes", "kd_t2"] in [line[:3] for line in lines]
    assert "different test images" in finished.stdout
    assert "Wrote comparison.html." in finished.stdout
    assert "2 runs side by side" in (folder / "comparison.html").read_text()
    refused = distill("compare", "a", "--output", "nowhere/page.html", directory=folder)
    assert refused.returncode == 2
    assert refused.stderr.startswith("distill: --output nowhere/page.html: cannot be written")


def test_runs_are_called_by_their_directory_where_that_tells_them_apart(make_workspace):
    first, second, third = make_workspace("x/a"), make_workspace("x/b"), make_workspace("y/a")
    assert list(read_runs([first, second, first])) == ["a", "b"]
    assert list(read_runs([first, third])) == [str(first), str(third)]
