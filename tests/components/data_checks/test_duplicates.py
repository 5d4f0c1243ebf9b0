import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from components.data_checks import descriptors, duplicates
from components.errors import InputError


def photograph(seed, *, side=96):
    """An image of smooth random shapes, as different from others as photographs are."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def tables(images, *, each=None):
    """Describes images, or encoded files, by their names: so many in a table, or all of them."""
    names = list(images)
    each = each or len(names)
    return [
        table({name: images[name] for name in names[at : at + each]}) for at in range(0, len(names), each)
    ]


def table(images):
    found = []
    for name, image in images.items():
        encoded = image if isinstance(image, bytes) else encode(image)
        pixels = np.asarray(Image.open(io.BytesIO(encoded)))
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        found.append(descriptors.describe(pixels, encoded=encoded, name=name, label=0, size=pixels.shape[:2]))
    (read,) = descriptors.Descriptors([io.BytesIO(descriptors.encode(found))])
    return read


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


TRAINING = {f"train/{seed}": photograph(seed) for seed in range(60)}


def found(held_out):
    return duplicates.find(tables(held_out), training=tables(TRAINING), split="test")


def pairs(result):
    return [(pair.image, pair.training_image, pair.kind) for pair in result.pairs]


def test_different_images_are_no_duplicates():
    result = found({f"test/{seed}": photograph(seed) for seed in range(100, 160)})
    assert (result.split, result.images, result.exact, result.near) == ("test", 60, 0, 0)
    assert result.pairs == ()
    duplicates.refuse(result)


def test_the_same_file_under_another_name_is_an_exact_duplicate():
    result = found({"b": TRAINING["train/7"], "a": TRAINING["train/3"], "c": photograph(100)})
    assert (result.images, result.exact, result.near) == (3, 2, 0)
    assert pairs(result) == [("a", "train/3", "exact"), ("b", "train/7", "exact")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: encode(image, "JPEG", quality=60), id="compressed"),
        pytest.param(lambda image: image.resize((48, 48), Image.Resampling.BILINEAR), id="smaller"),
        pytest.param(lambda image: image.resize((200, 150), Image.Resampling.BICUBIC), id="larger"),
        pytest.param(lambda image: image.convert("L"), id="grey"),
        pytest.param(lambda image: image.point(lambda value: int(value * 0.6)), id="darker"),
        pytest.param(lambda image: image.filter(ImageFilter.GaussianBlur(1)), id="blurred"),
    ],
)
def test_a_changed_copy_is_a_near_duplicate(change):
    result = found(
        {f"test/{seed}": change(photograph(seed)) for seed in range(20)} | {"new": photograph(100)}
    )
    assert (result.images, result.exact) == (21, 0)
    assert result.near >= 19
    assert all(
        image.removeprefix("test/") == other.removeprefix("train/") for image, other, _ in pairs(result)
    )


def test_of_several_similar_images_the_most_similar_is_named():
    close, closer = (encode(photograph(500), "JPEG", quality=quality) for quality in (10, 95))
    held_out = tables({"test/0": photograph(500)})
    result = duplicates.find(held_out, training=tables({"close": close, "closer": closer}), split="test")
    assert pairs(result) == [("test/0", "closer", "near")]


def test_what_is_found_does_not_depend_on_how_the_images_lie_in_shards(monkeypatch):
    copies = {f"test/{seed}": encode(photograph(seed), "JPEG", quality=60) for seed in range(20)}
    copies |= {"same": TRAINING["train/59"], "new": photograph(100)}
    # One of them has nothing that is hashed.
    training = {"plain": Image.new("RGB", (64, 64)), **TRAINING, "again/59": TRAINING["train/59"]}
    together = duplicates.find(tables(copies), training=tables(training), split="test")
    assert (together.images, together.exact, together.near) == (22, 1, 20)
    assert pairs(together)[0] == ("same", "train/59", "exact")
    monkeypatch.setattr(duplicates, "_COMPARED_AT_ONCE", 10)
    apart = duplicates.find(tables(copies, each=3), training=tables(training, each=7), split="test")
    assert apart == together


def test_hand_written_digits_are_not_taken_for_one_another():
    """Enlarged so that they are hashed; many of the 1,797 are much alike, and no two are the same scan."""
    images = [
        Image.fromarray((16 * digit).clip(0, 255).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        for digit in load_digits().images
    ]
    training = {str(number): image for number, image in enumerate(images[:1400])}
    held_out = {str(number): image for number, image in enumerate(images[1400:], start=1400)}
    result = duplicates.find(tables(held_out), training=tables(training), split="test")
    assert result.images == 397
    assert result.near <= 2


def test_the_search_finds_the_hashes_that_comparing_all_with_all_finds():
    rng = np.random.default_rng(0)
    theirs = rng.integers(0, 2**63, 3000, np.uint64)
    # Copies with 0 to 8 bits changed, of which those with up to 4 are to be found.
    flipped = [sum(1 << int(bit) for bit in rng.choice(64, count % 9, replace=False)) for count in range(300)]
    ours = theirs[:300] ^ np.array(flipped, np.uint64)
    expected = {
        (row, int(other))
        for row, each in enumerate(ours)
        for other in np.flatnonzero([bin(int(each ^ hash_)).count("1") <= 4 for hash_ in theirs])
    }
    assert len(expected) >= 166
    similar = duplicates._similar_hashes(ours, theirs)
    assert {(row, int(other)) for row, others in similar for other in others} == expected


def test_says_how_many_there_are_and_names_the_first():
    result = found({name: TRAINING[f"train/{name}"] for name in "12345"})
    sentence = (
        "5 of the 5 test images are among the training images too (5 exact, 0 near duplicates): "
        "1 is train/1, 2 is train/2, 3 is train/3 and 2 more"
    )
    assert duplicates.describe(result) == sentence
    with pytest.raises(InputError) as caught:
        duplicates.refuse(result)
    assert str(caught.value) == f"{sentence}; remove them from one of the two, or set duplicates: warn."
    near = found({"x": encode(TRAINING["train/9"], "JPEG", quality=80)})
    assert duplicates.describe(near).endswith("(0 exact, 1 near duplicates): x is nearly train/9")
