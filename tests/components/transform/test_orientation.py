import io
import random
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.transform import orientation
from components.transform.pixels import pack_images

TAG = 0x0112
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)

read = tf.function(orientation.read, input_signature=[tf.TensorSpec([], tf.string)])


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif(value: int, *, byte_order: str = "<") -> bytes:
    """An APP1 segment whose directory has the maker, at an offset, before the orientation."""
    header = {"<": b"II", ">": b"MM"}[byte_order] + struct.pack(f"{byte_order}HI", 42, 12) + b"me\0\0"
    maker = struct.pack(f"{byte_order}HHII", 0x010F, 2, 4, 8)
    entry = struct.pack(f"{byte_order}HHIHH", TAG, 3, 1, value, 0)
    directory = struct.pack(f"{byte_order}H", 2) + maker + entry + bytes(4)
    return segment(0xE1, b"Exif\0\0" + header + directory)


def jpeg(*segments: bytes) -> bytes:
    """The pixels as a JPEG with more segments behind the first."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG")
    plain = buffer.getvalue()
    first = 4 + int.from_bytes(plain[4:6], "big")
    return plain[:first] + b"".join(segments) + plain[first:]


def unpack(encoded: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    (packed,) = pack_images(tf.constant([encoded]), image_shape=shape).numpy()
    return np.frombuffer(packed, np.uint8).reshape(shape)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_the_orientation_is_read_as_pillow_reads_it(byte_order: str) -> None:
    for value in range(1, 9):
        encoded = jpeg(exif(value, byte_order=byte_order))
        assert read(encoded) == Image.open(io.BytesIO(encoded)).getexif()[TAG] == value


@pytest.mark.parametrize(("value", "channels"), [*((value, 3) for value in range(1, 9)), (6, 1)])
def test_an_image_is_turned_as_pillow_turns_it(value: int, channels: int) -> None:
    encoded = jpeg(exif(value))
    stored = Image.fromarray(unpack(jpeg(), (16, 24, channels)).squeeze())
    stored.getexif()[TAG] = value
    expected = np.asarray(ImageOps.exif_transpose(stored)).reshape(
        (16, 24, channels) if value < 5 else (24, 16, channels)
    )

    np.testing.assert_array_equal(unpack(encoded, expected.shape), expected)


def test_exif_may_stand_behind_other_segments() -> None:
    comment, xmp = segment(0xFE, b"Exif" * 5000), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0")
    encoded = jpeg(comment, b"\xff\xff", xmp, exif(6))
    assert Image.open(io.BytesIO(encoded)).getexif()[TAG] == 6
    assert read(encoded) == 6


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "encoded", [b"", b"\xff\xd8", b"GIF89a", png(), png() + exif(6), jpeg(), jpeg() + exif(6), jpeg(exif(9))]
)
def test_an_image_without_orientation_is_upright(encoded: bytes) -> None:
    assert read(encoded) == 1


def test_a_damaged_header_is_no_error() -> None:
    whole = jpeg(exif(6))
    spoil = random.Random(0)
    found = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[spoil.randrange(2, 80)] = spoil.choice([0, 1, 254, 255])
        found.add(int(read(bytes(damaged))))
    for length in range(80):
        found.add(int(read(whole[:length])))
    assert found <= set(range(1, 9))
