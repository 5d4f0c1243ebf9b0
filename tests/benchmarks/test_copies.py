import numpy as np

from benchmarks.copies import copy_as_jpeg
from benchmarks.examples import Examples
from components.settings.models import ImageSettings


def test_copies_keep_colours_at_half_the_resolution() -> None:
    columns = np.zeros((32, 32, 3), np.uint8)
    columns[:, 0::2, 0] = 200  # Red and blue by turns, a pixel wide each.
    columns[:, 1::2, 2] = 200
    grey = np.full_like(columns, 90)
    examples = Examples(
        np.array([columns.tobytes(), grey.tobytes()], dtype=object),
        np.array([1, 0]),
        np.array(["image/0", "image/1"], dtype=object),
    )

    copies = copy_as_jpeg(examples, image=ImageSettings(height=32, width=32, channels=3))

    assert copies.labels.tolist() == [1, 0]
    assert copies.ids.tolist() == ["image/0", "image/1"]
    assert copies.images[1] == grey.tobytes()
    pixels = np.frombuffer(copies.images[0], np.uint8).reshape(columns.shape).astype(int)
    reddish = pixels[:, :, 0] - pixels[:, :, 2]
    assert abs(reddish[:, 0::2] - reddish[:, 1::2]).mean() < 40  # It was 400.
