"""The units of docs/retraining.md, as systemd reads them."""

import pathlib
import re
import shutil
import subprocess

import pytest

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "retraining.md"


def _units() -> dict[str, str]:
    """The units that the page shows, by their file names."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(
        re.findall(r"^`/etc/systemd/system/(\S+)`:\n\n```ini\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    )


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: pathlib.Path) -> None:
    for name, text in _units().items():
        (tmp_path / name).write_text(text.replace("/srv/distillation/.venv/bin/distill", "/bin/true"))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".service", ".timer"]

    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    about_ours = [line for line in verified.stderr.splitlines() if "distill-retrain" in line]
    assert (verified.returncode, about_ours) == (0, [])
