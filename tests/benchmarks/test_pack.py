import io
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks import pack

DIGITS = pathlib.Path(__file__).parents[2] / "configs/digits.yaml"


@pytest.mark.parametrize(
    ("overrides", "size", "kind"),
    [
        ([], 8, "PNG"),  # As the source has them.
        (["--set", "image.height=16", "--set", "image.width=16"], 16, "JPEG"),
    ],
)
def test_images_are_packed_in_the_size_of_the_configuration(
    overrides: list[str], size: int, kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pack", str(DIGITS), str(tmp_path / "images.npz"), *overrides])

    pack.main()

    digits = load_digits()
    with np.load(tmp_path / "images.npz") as file:
        ends, labels, ids = (file[f"test_{name}"] for name in ("ends", "labels", "ids"))
        encoded = file["test_bytes"].tobytes()
    assert len(ends) == len(labels) == len(ids) == 350
    for start, end, label, name in zip([0, *ends[:-1]], ends, labels, ids, strict=True):
        image = Image.open(io.BytesIO(encoded[start:end]))
        number = int(name.rpartition("/")[2])
        assert (image.size, image.format, image.mode) == ((size, size), kind, "L")
        assert label == digits.target[number]
        brightness = 255 * digits.images[number].mean() / 16
        assert np.mean(np.asarray(image)) == pytest.approx(brightness, abs=3)
