"""A run whose metadata is in a real MariaDB."""

import pathlib

import pytest
from command_line import NODES, QUICK_DIGITS, distill, run, states


@pytest.mark.long
def test_a_run_on_mariadb_comes_to_its_end_and_the_next_from_the_cache(
    mariadb, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("DISTILL_METADATA_PASSWORD", mariadb.password)
    settings = (*QUICK_DIGITS, "--set", f"metadata={mariadb.create('digits')}", "--set", "retention.runs=1")
    first, printed = run("digits.yaml", tmp_path, *settings)
    assert states(first) == dict.fromkeys(NODES, "completed")
    second, _ = run("digits.yaml", tmp_path, *settings)
    assert states(second) == dict.fromkeys(NODES, "cached")
    assert second["lineage"] == first["lineage"]

    # They are the newest, and the one that pushed what ships.
    pruned = distill("prune", "configs/digits.yaml", "--workspace", tmp_path, *settings)
    assert pruned.stdout == "Nothing to remove: 2 runs left.\n"
    assert not (tmp_path / "metadata.sqlite").exists()
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"hush-hush" not in path.read_bytes(), path
    assert "hush-hush" not in printed
