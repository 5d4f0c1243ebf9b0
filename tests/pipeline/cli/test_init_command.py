import pathlib
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from components.errors import InputError
from pipeline.cli.main import app
from pipeline.config.loading import load_config


def init(*arguments: str) -> str:
    return CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False).output


def write_photos(folder: str, **counts: int) -> None:
    """Writes so many photographs of each class."""
    for name, count in counts.items():
        pathlib.Path(folder, name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (40, 30), "red").save(f"{folder}/{name}/{index}.jpg")


@pytest.fixture
def photos(tmp_path: pathlib.Path, monkeypatch) -> None:
    """The working directory, with a folder of 60 photographs of cats and 10 of dogs, and another file."""
    monkeypatch.chdir(tmp_path)
    write_photos("my photos", cat=60, dog=10)
    pathlib.Path("my photos/cat/notes.txt").touch()


def test_says_what_it_found_and_what_to_type_next(photos) -> None:
    output = init("my photos")
    assert output.startswith("my photos: 70 images of 2 classes\n")
    assert "Sizes:     all 30x40, in colour" in output
    assert "Left out:  1 (not a .jpg, .jpeg or .png file): cat/notes.txt\n" in output
    assert "class_weights: balanced" in output
    assert output.endswith("Next:\n\n  distill run my_photos.yaml\n")
    config = load_config(pathlib.Path("my_photos.yaml"))
    assert config.class_weights == "balanced"
    assert config.image.shape == (30, 40, 3)
    source = config.data.make_source()
    source.check()
    counts = {split: source.listing(split).labels.total() for split in ("train", "validation", "test")}
    assert sum(counts.values()) == 70
    for split, count in counts.items():
        assert f"\n{split:<10}   {count:>6}" in output


def test_replaces_no_file_unless_forced(photos) -> None:
    kept = pathlib.Path("mine.yaml")
    kept.write_text("mine")
    with pytest.raises(InputError, match=r"^mine.yaml is there already; .*--force"):
        init("my photos", "--output", "mine.yaml")
    assert kept.read_text() == "mine"
    assert "distill run mine.yaml" in init("my photos", "--output", "mine.yaml", "--force")
    assert load_config(kept).name == "my_photos"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "'empty', which holds no class folders"),
        ("photos/{YYYY}", "^data.path: got 'photos/{YYYY}'; a path of spans holds {SPAN} once, or each of"),
        ("single", "'single' holds only the class folder 'cat'; a classifier needs at least two"),
    ],
)
def test_what_cannot_be_distilled_is_refused_and_nothing_written(photos, name: str, message: str) -> None:
    pathlib.Path("empty").mkdir()
    pathlib.Path("single/cat").mkdir(parents=True)
    with pytest.raises(InputError, match=message):
        init(name)
    assert not list(pathlib.Path().glob("*.yaml"))


def test_too_few_images_are_refused_with_how_many_are_needed(photos) -> None:
    write_photos("few", cat=1, dog=1)
    with pytest.raises(
        InputError, match=r"^few holds too few images to have .*; add images: 30 in all are enough"
    ):
        init("few")
    write_photos("enough", cat=15, dog=15)
    init("enough")
    load_config(pathlib.Path("enough.yaml")).data.make_source().check()


def test_says_that_a_run_would_stop_where_too_many_images_cannot_be_used(photos) -> None:
    for index in range(4):
        pathlib.Path(f"my photos/cat/{index}.jpg").write_bytes(b"")
    assert "Next:" in init("my photos")
    for index in range(30):
        pathlib.Path(f"my photos/cat/{index}.jpg").write_bytes(b"")
    output = init("my photos", "--force")
    names = r"cat/\d+.jpg, cat/\d+.jpg, cat/\d+.jpg and \d+ more"
    obstacle = (
        r"\d+ of the \d+ images that were looked at cannot be used, and a run stops where more than 10% of "
        f"all cannot: repair or remove {names}, or raise data.max_corrupt_fraction"
    )
    ending = r"Then:\n\n  distill run my_photos.yaml\n"
    assert re.search(rf"Wrote my_photos.yaml, which says why. {obstacle}. {ending}$", output)
    written = pathlib.Path("my_photos.yaml").read_text().replace("\n#", "")
    assert re.search(rf"Images: .*; {obstacle}.\ndata:", written)


def test_says_that_test_images_of_one_class_say_little(photos) -> None:
    write_photos("pets/train", cat=20, dog=20)
    write_photos("pets/test", cat=1, dog=1)
    assert "all test images" not in init("pets")
    pathlib.Path("pets/test/dog/0.jpg").unlink()
    assert "Note:      all test images are of cat, and so say little of a model; add others" in init(
        "pets", "--force"
    )
