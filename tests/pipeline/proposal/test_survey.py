import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.example_gen.source import Skipped
from components.example_gen.sources.image_folder import ImageFolderData
from components.example_gen.sources.tfds import Splits, TfdsData
from pipeline.proposal.survey import Look, look_at

EVERYWHERE = [f"{split}/{name}" for split in ("train", "validation", "test") for name in ("cat", "dog")]


def write(root: pathlib.Path, name: str, image: Image.Image, **options) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def survey(root: pathlib.Path):
    return look_at(ImageFolderData(source="image_folder", path=str(root)).make_source())


def test_counts_every_image_and_looks_at_those_to_train_on(tmp_path: pathlib.Path) -> None:
    for folder in EVERYWHERE:
        write(tmp_path, f"{folder}/0.png", Image.new("RGB", (7, 5), "red"))
    write(tmp_path, "train/cat/1.png", Image.new("L", (20, 30)))
    (tmp_path / "train/dog/notes.txt").touch()
    cut = io.BytesIO()
    Image.new("RGB", (90, 90)).save(cut, "JPEG")
    (tmp_path / "train/dog/cut.jpg").write_bytes(cut.getvalue()[:400])
    found = survey(tmp_path)
    assert found.classes == {
        "train": {"cat": 2, "dog": 2},
        "validation": {"cat": 1, "dog": 1},
        "test": {"cat": 1, "dog": 1},
    }
    assert set(found.skipped) == {
        Skipped("train/dog/notes.txt", "not a .jpg, .jpeg or .png file"),
        Skipped("train/dog/cut.jpg", "the JPEG is cut short", corrupt=True),
    }
    assert sorted(found.sample, key=lambda look: look.height) == [
        *[Look(5, 7, is_grey=False)] * 2,
        Look(30, 20, is_grey=True),
    ]


def test_sizes_are_of_upright_images_and_grey_is_what_has_no_colours(tmp_path: pathlib.Path) -> None:
    for folder in EVERYWHERE:
        exif = Image.Exif()
        exif[0x0112] = 6
        levels = np.arange(240, dtype=np.uint8).reshape(12, 20, 1).repeat(3, axis=2)
        write(tmp_path, f"{folder}/0.jpg", Image.fromarray(levels), exif=exif)
    assert set(survey(tmp_path).sample) == {Look(20, 12, is_grey=True)}


def test_images_of_which_none_can_be_used_are_refused(tmp_path: pathlib.Path) -> None:
    for folder in EVERYWHERE:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "0.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"None of the 2 images .*0.jpg', not a JPEG or PNG image\)\.$"):
        survey(tmp_path)


def test_images_are_judged_as_a_run_will_judge_them(tmp_path: pathlib.Path) -> None:
    for folder in EVERYWHERE:
        write(tmp_path, f"{folder}/0.png", Image.new("RGB", (7, 5), "red"))
    frames = [Image.new("RGB", (7, 5), colour) for colour in ("red", "blue")]
    write(tmp_path, "train/cat/moving.jpg", frames[0], format="WEBP", save_all=True, append_images=frames[1:])
    odd = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 12), "blue").save(odd, "JPEG", exif=exif)
    jpeg, icc = odd.getvalue(), b"\xff\xe2\0\x0fICC_PROFILE\0\x05"  # Which Pillow refuses.
    (tmp_path / "train/dog/odd.jpg").write_bytes(jpeg[:2] + icc + jpeg[2:])

    found = survey(tmp_path)

    assert found.skipped == (Skipped("train/cat/moving.jpg", "an animated WebP", corrupt=True),)
    assert set(found.sample) == {Look(5, 7, is_grey=False), Look(20, 12, is_grey=False)}


def test_counts_the_labels_of_a_tfds_data_set(tfds_data: pathlib.Path) -> None:
    splits = Splits(train="train[:1200]", validation="train[1200:1300]", test="test[:1%]")
    source = TfdsData(source="tfds", dataset="mnist", data_dir=str(tfds_data), splits=splits).make_source()
    found = look_at(source)
    assert [found.count(split) for split in found.classes] == [1200, 100, 100]
    records = [record for shard in source.shards("validation") for record in source.read(shard)]
    for label, count in enumerate(found.classes["validation"].values()):
        assert count == sum(record.label == label for record in records)
    assert set(found.sample) == {Look(28, 28, is_grey=True)}
