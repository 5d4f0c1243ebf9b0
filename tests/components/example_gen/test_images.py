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


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(content)).to_bytes(2, "big") + content


@pytest.mark.parametrize(
    "broken",
    [
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
        segment(0xE2, b"ICC_PROFILE\0\x05"),
        segment(0xEE, b"Adobe"),
    ],
)
def test_a_jpeg_is_turned_though_pillow_refuses_other_segments_of_it(broken: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (7, 9)).save(buffer, "JPEG", exif=exif)
    jpeg = buffer.getvalue()

    assert probe_image(jpeg[:2] + broken + jpeg[2:])[:2] == (7, 9)


def test_exif_is_what_its_segment_holds() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (7, 9)).save(buffer, "JPEG", exif=exif)
    jpeg, comment = buffer.getvalue(), segment(0xFE, b"no Exif\0\0 here")

    assert probe_image(jpeg[:2] + comment + b"\xff" + jpeg[2:])[:2] == (7, 9)


def test_exif_that_is_no_tiff_says_nothing() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 9)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()

    assert probe_image(jpeg[:2] + segment(0xE1, b"Exif\0\0no TIFF") + jpeg[2:])[:2] == (9, 7)


def test_refuses_what_tensorflow_would_read_wrongly() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    moving, coloured, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    red.save(moving, "WEBP", save_all=True, append_images=[blue])
    red.convert("P").save(coloured, "BMP")
    red.convert("L").save(packed, "BMP")
    packed.seek(30)
    packed.write(b"\1")  # What BMP calls its run-length encoding.

    for file, reason in (
        (moving, "an animated WebP"),
        (coloured, "a BMP with a palette of colours"),
        (packed, "a compressed BMP"),
    ):
        with pytest.raises(ImageError) as caught:
            probe_image(file.getvalue())
        assert str(caught.value) == reason


@pytest.mark.parametrize(("kind", "mode"), [("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "L"), ("BMP", "RGB")])
def test_accepts_other_images_of_these_kinds(make_image, kind: str, mode: str) -> None:
    assert probe_image(make_image(kind, mode=mode, height=9, width=7))[:2] == (9, 7)


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
