"""What is said where a real MariaDB cannot be used, and what is never said."""

import os
import pathlib
import subprocess
import sys

import pytest

from components.errors import InputError
from pipeline.config.loading import load_config
from pipeline.local.workspace import Workspace, locked, open_workspace
from pipeline.metadata.database import PASSWORD_VARIABLE

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"
ELSEWHERE = "mysql://distill@127.0.0.1:1/mlmd"


def workspace(directory: pathlib.Path, *, url: str | None, password: str = "") -> Workspace:
    config = load_config(DIGITS, overrides=[f"metadata={url}"] if url else [])
    return open_workspace(config, directory=directory, environment={PASSWORD_VARIABLE: password})


@pytest.mark.parametrize(
    "url",
    [
        "mysql://distill:secret@example.com/mlmd",
        "mysql://example.com/mlmd",
        "postgresql://distill@example.com/mlmd",
        "mysql://distill@example.com/",
        "mysql://distill@example.com:65536/mlmd",
        "metadata.sqlite",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_and_not_shown(url):
    with pytest.raises(
        InputError, match="metadata: must be mysql://USER@HOST:PORT/DATABASE, and the pass"
    ) as caught:
        load_config(DIGITS, overrides=[f"metadata={url}"])
    assert url not in str(caught.value)


def test_a_database_that_can_be_used_is(mariadb, tmp_path):
    url = mariadb.create("usable")
    workspace(tmp_path, url=url, password=mariadb.password).database.check()


def test_a_wrong_password_is_told_in_a_sentence(mariadb, tmp_path):
    url = mariadb.create("guarded")
    with pytest.raises(InputError) as caught:
        workspace(tmp_path, url=url, password="a guess").database.check()
    assert str(caught.value) == (
        f"metadata: 127.0.0.1:{mariadb.port} does not let 'distill' in; put the right password into the "
        "environment variable DISTILL_METADATA_PASSWORD."
    )


def test_a_database_that_is_not_there_is_told_in_a_sentence(mariadb, tmp_path):
    mariadb.create("present")
    url = f"mysql://distill@127.0.0.1:{mariadb.port}/absent"
    with pytest.raises(InputError, match="has no database 'absent' that 'distill' may use; create it there"):
        workspace(tmp_path, url=url, password=mariadb.password).database.check()


def test_a_server_that_cannot_be_reached_ends_a_run_before_anything_is_made(tmp_path):
    command = [sys.executable, "-m", "pipeline", "run", str(DIGITS), "--workspace", str(tmp_path / "run")]
    done = subprocess.run(
        [*command, "--set", f"metadata={ELSEWHERE}"],
        cwd=DIGITS.parents[1],
        env=os.environ | {PASSWORD_VARIABLE: "hush"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "distill: metadata: mysql://127.0.0.1:1/mlmd cannot be used (Can't connect to "
    )
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_password_is_no_part_of_what_is_recorded_or_shown(tmp_path):
    place = workspace(tmp_path, url=ELSEWHERE, password="hush")
    config = load_config(DIGITS, overrides=[f"metadata={ELSEWHERE}"])
    assert "hush" not in repr(place)
    assert config.to_record() == load_config(DIGITS).to_record()
    with locked(place):
        assert "hush" not in (tmp_path / "metadata.json").read_text()
        assert "hush" not in str(place.database.connection_config())


def test_a_workspace_stays_with_its_database(tmp_path):
    with locked(workspace(tmp_path, url=ELSEWHERE)):
        name = workspace(tmp_path, url=ELSEWHERE).pipeline_name(load_config(DIGITS))
    with locked(workspace(tmp_path, url=ELSEWHERE)):
        assert workspace(tmp_path, url=ELSEWHERE).pipeline_name(load_config(DIGITS)) == name
    for other, place in (
        (None, "metadata.sqlite"),
        ("mysql://distill@example.com/mlmd", "mysql://example.com:3306/mlmd"),
    ):
        with (
            pytest.raises(
                InputError, match=f"has its metadata in mysql://127.0.0.1:1/mlmd, not in {place}; choose"
            ),
            locked(workspace(tmp_path, url=other)),
        ):
            pass


def test_two_workspaces_of_one_experiment_have_names_of_their_own(tmp_path):
    places = [workspace(tmp_path / name, url=ELSEWHERE) for name in ("one", "two")]
    for place in places:
        with locked(place):
            pass
    one, two = (place.pipeline_name(load_config(DIGITS)) for place in places)
    assert one != two
    assert one.startswith("digits-")
