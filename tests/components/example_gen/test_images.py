import io

import pytest
import tensorflow as tf
from PIL import Image

from components.example_gen.images import ImageError, probe_image


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("JPEG", "L"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
    ],
)
def test_knows_the_size_of_images_of_any_mode(make_image, kind: str, mode: str) -> None:
    assert probe_image(make_image(kind, mode=mode, height=9, width=7))[:2] == (9, 7)


@pytest.mark.parametrize(("orientation", "size"), [(1, (9, 7)), (3, (9, 7)), (6, (7, 9)), (8, (7, 9))])
def test_the_size_is_that_of_the_upright_image(orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (7, 9)).save(buffer, "JPEG", exif=exif)
    assert probe_image(buffer.getvalue())[:2] == size


def test_refuses_bytes_that_are_no_image(make_image) -> None:
    jpeg, png = make_image("JPEG"), make_image("PNG")
    half_zeros = jpeg[:20] + bytes(len(jpeg) - 22) + jpeg[-2:]
    flipped = png[:60] + bytes([png[60] ^ 255]) + png[61:]
    reasons = {
        b"": "the file is empty",
        b"no image at all, whatever its name": "not a JPEG or PNG image",
        jpeg[: len(jpeg) // 2]: "the JPEG is cut short",
        jpeg[:-2]: "the JPEG is cut short",
        half_zeros: "the JPEG is damaged",
        png[: len(png) // 2]: "the PNG is cut short",
        png[:-4]: "the PNG is cut short",
        flipped: "the PNG is damaged",
    }
    for data, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            probe_image(data)
        assert str(caught.value) == reason
        with pytest.raises(tf.errors.InvalidArgumentError):
            tf.io.decode_image(data, expand_animations=False)
