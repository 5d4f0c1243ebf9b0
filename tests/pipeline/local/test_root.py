"""A workspace whose artifacts lie elsewhere, in an object store."""

import json
import pathlib

import pytest
from botocore.exceptions import EndpointConnectionError

from components.errors import InputError
from components.storage import files
from pipeline.config.loading import load_config
from pipeline.local.background import NodeError
from pipeline.local.retention import prune
from pipeline.local.run import _check_reached, running
from pipeline.local.workspace import Workspace, locked, open_workspace

HERE = pathlib.Path(__file__).parent
DIGITS = HERE.parents[2] / "configs" / "digits.yaml"


def open_at(root: str | None, directory: pathlib.Path) -> Workspace:
    config = load_config(DIGITS, overrides=[f"pipeline_root={root or 'null'}"])
    return open_workspace(config, directory=directory, environment={})


def artifacts(root: str, directory: pathlib.Path) -> str:
    workspace = open_at(root, directory)
    with locked(workspace):
        return workspace.artifacts


def test_each_workspace_has_a_folder_of_its_own_and_keeps_it(tmp_path: pathlib.Path) -> None:
    root = "s3://lake/pipelines"
    first, second = (artifacts(root, tmp_path / place / "digits") for place in "ab")
    assert first != second
    assert first.startswith("s3://lake/pipelines/digits-")
    assert artifacts(root, tmp_path / "a" / "digits") == first


def test_a_workspace_stays_with_its_root(tmp_path: pathlib.Path) -> None:
    artifacts("s3://lake/pipelines", tmp_path / "there")
    for other in ("s3://lake/more", None):
        with pytest.raises(
            InputError, match=r"has its artifacts in s3://lake/pipelines, not in .*--workspace"
        ):
            artifacts(other, tmp_path / "there")
    (tmp_path / "here" / "artifacts").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"has its artifacts in .*here/artifacts, not in s3://lake/pipelines"
    ):
        artifacts("s3://lake/pipelines", tmp_path / "here")


@pytest.mark.parametrize("other", ["s3://lake/runs/pipelines/", "S3://lake//runs/./pipelines"])
def test_a_root_in_another_spelling_is_the_same(other: str, tmp_path: pathlib.Path) -> None:
    first = artifacts("s3://lake/runs/pipelines", tmp_path / "digits")
    assert artifacts(other, tmp_path / "digits") == first
    # As an earlier version noted it.
    written = json.loads((tmp_path / "digits/root.json").read_text())
    (tmp_path / "digits/root.json").write_text(json.dumps(written | {"pipeline_root": other}))
    assert artifacts("s3://lake/runs/pipelines", tmp_path / "digits") == first


def test_a_root_here_in_another_spelling_is_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.chdir(tmp_path)
    first = artifacts(str(tmp_path / "roots"), tmp_path / "digits")
    assert artifacts("./roots/", tmp_path / "digits") == first


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (
            "s3://no-such-bucket/root",
            r"pipeline_root: s3://no-such-bucket/root cannot be used \(.*bucket is there",
        ),
        ("/proc/root-of-mine", r"pipeline_root: /proc/root-of-mine cannot be written"),
    ],
)
def test_a_root_that_cannot_be_written_is_told_before_anything_runs(
    s3: str, root: str, message: str, tmp_path: pathlib.Path
) -> None:
    config = load_config(DIGITS, overrides=[f"pipeline_root={root}"])
    workspace = open_workspace(config, directory=tmp_path / "digits", environment={})
    with pytest.raises(InputError, match=message):
        running(config, workspace=workspace).__enter__()
    assert not workspace.directory.exists()


def test_a_root_that_no_library_reads_is_refused() -> None:
    with pytest.raises(InputError, match="'minio://b/c' is in no store that TFX and Beam know"):
        load_config(DIGITS, overrides=["pipeline_root=minio://b/c"])


def test_a_place_in_which_beam_would_find_nothing_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"pipeline_root: got 's3://b/run\?'; Beam takes '\?' for a pattern"):
        load_config(DIGITS, overrides=["pipeline_root='s3://b/run?'"])
    directory = tmp_path / "runs [old]"
    with pytest.raises(InputError, match=r"would lie in \S+/runs \[old\], and Beam takes '\[' for a pattern"):
        open_workspace(load_config(DIGITS), directory=directory, environment={})
    elsewhere = load_config(DIGITS, overrides=[f"pipeline_root={tmp_path}"])
    assert open_workspace(elsewhere, directory=directory, environment={}).directory == directory


def test_kubeflow_takes_the_root_unless_it_has_its_own() -> None:
    def root(*overrides: str) -> str | None:
        return load_config(DIGITS, overrides=overrides).kubeflow_root

    assert root() is None
    assert root("pipeline_root=s3://a/b") == "s3://a/b"
    assert root("pipeline_root=s3://a/b", "kubeflow.pipeline_root=minio://c/d") == "minio://c/d"
    assert root("kubeflow.pipeline_root=minio://c/d/") == "minio://c/d"
    assert root("pipeline_root=hdfs://a/b") is root("pipeline_root=/a/b") is None


def test_a_store_that_was_away_is_told_although_it_is_back(bucket: str, tmp_path: pathlib.Path) -> None:
    """Beam makes text of what its client of S3 says."""
    config = load_config(DIGITS, overrides=[f"pipeline_root={bucket}"])
    workspace = open_workspace(config, directory=tmp_path, environment={})
    error = NodeError(node="StatisticsGen")
    error.__cause__ = RuntimeError(str(EndpointConnectionError(endpoint_url="http://localhost:9000/lake")))
    with pytest.raises(InputError, match=r"StatisticsGen was interrupted: the object store was away"):
        _check_reached(config, workspace, cause=error)
    error.__cause__ = KeyError("a fault")
    _check_reached(config, workspace, cause=error)


def test_the_cache_and_retention_work_there(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.syspath_prepend(HERE)
    import example_runs

    workspace = open_at(bucket, tmp_path / "digits")
    fresh, cached = {"Trainer": "completed", "Pusher": "completed"}, {"Trainer": "cached", "Pusher": "cached"}
    states = [example_runs.run(workspace, weights=weights) for weights in ("one", "one", "two", "three")]
    assert states == [fresh, cached, fresh, fresh]
    models = f"{workspace.artifacts}/Trainer/model"
    files.write_text(f"{models}/999/torn", "half of it")
    assert len(files.folder_names(models)) == 4

    config = load_config(DIGITS, overrides=["retention.runs=2"])
    foreseen = prune(config, workspace=workspace, dry_run=True)
    assert len(files.folder_names(models)) == 4
    assert prune(config, workspace=workspace) == foreseen
    assert (foreseen.runs, foreseen.runs_left) == (2, 2)
    assert foreseen.size_bytes >= 2 * len("one") + len("half of it")
    contents = [files.read_text(f"{models}/{name}/a") for name in files.folder_names(models)]
    assert sorted(contents) == ["three", "two"]
    assert example_runs.run(workspace, weights="two") == cached
    assert example_runs.run(workspace, weights="one") == fresh
    assert not (workspace.directory / "artifacts").exists()
