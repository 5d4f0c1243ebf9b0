import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from PIL import Image

from components.data_checks.descriptors import SCHEMA, Descriptors, describe, encode


def described(pixels, **about):
    about = {"encoded": b"file", "name": "a", "label": 0, "size": pixels.shape[:2]} | about
    return describe(pixels, **about)


def test_brightness_and_contrast_are_mean_and_deviation_of_the_luminance():
    half = np.zeros((4, 6, 1), np.uint8)
    half[:, 3:] = 200
    found = described(half, encoded=b"the file", name="bee/1.png", label=3)
    assert (found.brightness, found.contrast) == (100, 100)
    assert (found.id, found.label, found.height, found.width) == ("bee/1.png", 3, 4, 6)
    assert found.sha256 == hashlib.sha256(b"the file").digest()


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_colours_count_as_bright_as_they_look(colour, luma):
    # 255 times 0.299, 0.587 and 0.114, rounded: ITU-R BT.601.
    assert described(np.full((5, 5, 3), colour, np.uint8)).brightness == luma


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_describes_images_as_they_are_decoded(mode):
    """What Transform decodes can be described, whatever the channels; those of a grey image look the same."""
    buffer = io.BytesIO()
    grey = Image.new("L", (40, 40), 120)
    grey.paste(20, (0, 0, 20, 40))
    grey.convert("RGB").convert(mode).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    pixels = tf.io.decode_image(buffer.getvalue(), expand_animations=False).numpy()
    found = described(pixels)
    assert found.brightness == pytest.approx(70, abs=1)
    assert found.contrast == pytest.approx(50, abs=1)
    assert found.phash is not None


def test_images_that_a_perceptual_hash_cannot_tell_apart_have_none():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 32, 1), np.uint8)
    assert described(noise).phash is not None
    assert described(noise[:31]).phash is None
    faint = (120 + noise // 16).astype(np.uint8)
    assert described(faint).contrast < 8
    assert described(faint).phash is None


def test_is_read_as_it_was_written_shard_after_shard(tmp_path):
    rng = np.random.default_rng(0)
    shards = [
        [
            described(rng.integers(0, 256, (32, 40, 3), np.uint8), name="a"),
            described(np.zeros((2, 2, 1), np.uint8)),
        ],
        [],
        [described(rng.integers(0, 256, (50, 32, 3), np.uint8), name="c", label=-1)],
    ]
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, shard in zip(paths, shards, strict=True):
        path.write_bytes(encode(shard))
    tables = list(Descriptors(list(map(str, paths))))
    assert list(map(len, tables)) == list(map(len, shards))
    table = pa.concat_tables(tables)
    assert table.schema == SCHEMA
    written = [each for shard in shards for each in shard]
    for column in ("id", "label", "sha256", "height", "width", "phash", "thumbnail"):
        assert table[column].to_pylist() == [getattr(each, column) for each in written]
    assert table["contrast"].to_pylist() == pytest.approx([each.contrast for each in written], rel=1e-6)
    assert [len(each or b"") for each in table["thumbnail"].to_pylist()] == [256, 0, 256]
