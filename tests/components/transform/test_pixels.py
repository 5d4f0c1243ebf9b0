import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.transform.pixels import pack_images, unpack_images

RANDOM = np.random.default_rng(0)


def encode(image: Image.Image, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def pack(*files: bytes, image_shape: tuple[int, int, int], resize: str = "stretch") -> list[bytes]:
    return list(pack_images(tf.constant(files), image_shape=image_shape, resize=resize).numpy())


@pytest.mark.parametrize("shape", [(28, 28, 1), (224, 224, 3), (5, 7, 3)])
def test_an_image_of_the_right_size_is_stored_byte_for_byte(shape: tuple[int, int, int]) -> None:
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if shape[2] == 1 else pixels)

    (packed,) = pack(encode(image), image_shape=shape)

    assert packed == pixels.tobytes()
    assert len(packed) == shape[0] * shape[1] * shape[2]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1"])
def test_every_mode_becomes_the_rgb_image_that_pillow_sees(mode: str) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (6, 4, 3), dtype=np.uint8)).convert(mode)

    (packed,) = pack(encode(image), image_shape=(6, 4, 3))

    assert packed == image.convert("RGB").tobytes()


def test_a_colour_image_becomes_grey_by_luma() -> None:
    red = Image.new("RGB", (2, 2), (255, 0, 0))

    (packed,) = pack(encode(red), image_shape=(2, 2, 1))

    assert list(packed) == pytest.approx([0.299 * 255] * 4, abs=1)


def test_an_animated_webp_is_refused_before_tensorflow_decodes_it() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])

    with pytest.raises(tf.errors.InvalidArgumentError, match="Input is empty"):
        pack(buffer.getvalue(), image_shape=(8, 8, 3))


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        ("CMYK", "JPEG"),
        ("RGB", "BMP"),
        ("L", "BMP"),
        ("RGB", "WEBP"),
        ("P", "GIF"),
        ("L", "PNG"),
        ("LA", "PNG"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_whatever_tensorflow_can_decode_is_accepted(mode: str, file_format: str, channels: int) -> None:
    grey = Image.new("RGB", (4, 4), (102, 102, 102)).convert(mode)  # In the palette of GIF.

    (packed,) = pack(encode(grey, file_format), image_shape=(4, 4, channels))

    assert list(packed) == pytest.approx([102] * 16 * channels, abs=1)


def test_a_grey_image_in_colours_keeps_every_level() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)

    (packed,) = pack(encode(Image.fromarray(levels)), image_shape=(16, 16, 1))

    assert list(packed) == list(range(256))


def test_shrinking_averages_all_pixels() -> None:
    halves = np.zeros((8, 8), np.uint8)
    halves[:, 1::2] = 200

    (packed,) = pack(encode(Image.fromarray(halves)), image_shape=(1, 1, 1))

    assert packed[0] == pytest.approx(100, abs=1)


def test_images_of_mixed_sizes_and_formats_share_a_batch() -> None:
    grey = Image.new("L", (3, 9), 50)
    jpeg = Image.new("RGB", (40, 20), (50, 50, 50))

    packed = pack(encode(grey), encode(jpeg, "JPEG"), image_shape=(4, 4, 3))

    assert packed == [bytes([50] * 48)] * 2


def test_unpacking_gives_numbers_between_0_and_1() -> None:
    packed = tf.constant([bytes([0, 51, 255, 102])])

    images = unpack_images(packed, image_shape=(2, 2, 1))

    np.testing.assert_allclose(images, [[[[0.0], [0.2]], [[1.0], [0.4]]]], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_cropping_keeps_the_middle(channels: int) -> None:
    pixels = RANDOM.integers(0, 256, (6, 11, channels), dtype=np.uint8)
    for image, expected in (
        (pixels, pixels[:, 2:8]),  # Of the five columns too many, two go at the left and three at the right.
        (pixels.swapaxes(0, 1), pixels.swapaxes(0, 1)[2:8]),
    ):
        encoded = encode(Image.fromarray(image.squeeze()))
        (packed,) = pack(encoded, image_shape=(6, 6, channels), resize="crop")
        assert packed == expected.tobytes()


def test_padding_adds_black_bars() -> None:
    pixels = RANDOM.integers(1, 256, (4, 9, 3), dtype=np.uint8)
    for image, shape, where in (
        (pixels, (9, 9, 3), np.s_[2:6, :]),
        (pixels, (4, 12, 3), np.s_[:, 1:10]),
        (pixels.swapaxes(0, 1), (9, 9, 3), np.s_[:, 2:6]),
    ):
        expected = np.zeros(shape, np.uint8)
        expected[where] = image
        (packed,) = pack(encode(Image.fromarray(image)), image_shape=shape, resize="pad")
        assert packed == expected.tobytes()


@pytest.mark.parametrize(
    ("size", "middle"),
    [
        ((120, 60), (40, 0, 80, 60)),
        ((60, 120), (0, 15, 60, 105)),
        ((30, 15), (10, 0, 20, 15)),
        ((90, 90), (15, 0, 75, 90)),
    ],
)
def test_resizing_keeps_the_aspect_ratio_as_pillow_does(size: tuple[int, int], middle) -> None:
    coarse = Image.fromarray(RANDOM.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    smooth = coarse.resize(size, Image.Resampling.BICUBIC)
    bilinear = Image.Resampling.BILINEAR
    expected = {
        "crop": smooth.crop(middle).resize((20, 30), bilinear),
        "pad": ImageOps.pad(smooth, (20, 30), method=bilinear),
    }
    for resize, image in expected.items():
        (packed,) = pack(encode(smooth), image_shape=(30, 20, 3), resize=resize)
        found = np.frombuffer(packed, np.uint8).reshape(30, 20, 3)
        np.testing.assert_allclose(found, np.asarray(image, float), atol=2)


@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_an_extreme_aspect_ratio_leaves_a_pixel(resize: str) -> None:
    line = Image.new("RGB", (500, 1), (50, 50, 50))

    (packed,) = pack(encode(line), image_shape=(8, 8, 3), resize=resize)

    assert set(packed) == ({50} if resize == "crop" else {0, 50})
