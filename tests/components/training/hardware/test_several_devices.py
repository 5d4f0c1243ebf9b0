"""Training on two devices, which one processor can stand for, in a process of its own."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.long
SCRIPT = pathlib.Path(__file__).with_name("on_two_devices.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, transform_graph: str) -> dict[str, dict[str, Any]]:
    """The losses and the greatest difference of a weight, by objective, as the script writes them."""
    folder = tmp_path_factory.mktemp("devices")
    result = subprocess.run(
        [sys.executable, SCRIPT, folder, transform_graph], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    content: dict[str, dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return content


@pytest.mark.parametrize("case", ["scratch", "recipe", "kd", "dist", "hint", "online", "interrupted"])
def test_two_devices_train_as_one_does(found: dict[str, dict[str, Any]], case: str) -> None:
    """To the exported weights, also where the last batch is not divisible, and after an interruption."""
    one, two = found[case]["losses"]
    assert len(one) == 3
    assert one[-1] != pytest.approx(one[0], rel=1e-3)  # It does learn.
    np.testing.assert_allclose(one, two, rtol=1e-5)
    assert found[case]["difference"] < 1e-5
