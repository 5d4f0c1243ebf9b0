import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from components.errors import InputError
from components.example_gen.sources.digits import DigitsData, DigitsSource
from components.example_gen.splitting import SplitFractions

SPLITS = ("train", "validation", "test")


def open_digits(**fractions: float) -> DigitsSource:
    return DigitsData(source="digits", split_fractions=SplitFractions(**fractions)).make_source()


def test_reads_each_digit_once() -> None:
    source = open_digits(train=0.6, validation=0.2, test=0.2)
    source.check()
    records = [record for split in SPLITS for shard in source.shards(split) for record in source.read(shard)]
    digits = load_digits()
    assert sorted(record.id for record in records) == [f"digits/{index:04d}" for index in range(1797)]
    for record in records:
        index = int(record.id[-4:])
        assert source.class_names[record.label] == str(digits.target[index])
        pixels = np.asarray(Image.open(io.BytesIO(record.image)))
        assert pixels.dtype == np.uint8
        np.testing.assert_allclose(pixels / 255 * 16, digits.images[index], atol=16 / 255 / 2 + 1e-9)


def test_refuses_a_split_without_images() -> None:
    source = open_digits(train=0.9, validation=0.1, test=0.0)
    with pytest.raises(InputError, match=r"data.split_fractions.test: got 0, which leaves none of the 1797"):
        source.check()


def test_fingerprint_names_the_version() -> None:
    import sklearn

    assert open_digits().fingerprint() == f"scikit-learn-{sklearn.__version__}"
