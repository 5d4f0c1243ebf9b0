import pathlib

import pytest

from components.models import registry
from components.models.building import build_model
from pipeline.config.loading import load_config
from pipeline.proposal.proposal import choose_fractions, choose_name, propose, to_yaml
from pipeline.proposal.survey import Look, Survey

SQUARES = (Look(32, 32, is_grey=False),) * 10


def survey(*sample: Look, train: dict[str, int] | None = None, test: dict[str, int] | None = None) -> Survey:
    train = train or {"cat": 400, "dog": 400}
    classes = {"train": train, "validation": dict.fromkeys(train, 50), "test": test or {"cat": 50, "dog": 50}}
    return Survey(classes=classes, skipped=(), sample=sample or SQUARES, notes=("a note",))


def values(found: Survey) -> dict:
    sections = propose(found, name="pets", data={"source": "image_folder", "path": "my pets: cats & dogs"})
    return {section.key: section.value for section in sections}


def test_what_is_written_is_a_configuration(tmp_path: pathlib.Path) -> None:
    found = survey()
    sections = propose(found, name="pets", data={"source": "image_folder", "path": "my pets: cats & dogs"})
    file = tmp_path / "pets.yaml"
    file.write_text(to_yaml(sections, title=("About it.", "", "  distill run pets.yaml")), encoding="utf-8")
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# About it.\n#\n#   distill run pets.yaml\nname: pets\n")
    assert "# Images: 800 for train, 100 for validation, 100 for test; a note.\n" in text
    assert max(map(len, text.splitlines())) <= 110
    config = load_config(file)
    assert config.name == "pets"
    assert config.data.path == "my pets: cats & dogs"
    assert config.image.shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("sample", "image"),
    [
        ([(28, 28)], (28, 28, "stretch")),
        ([(20, 50)], (20, 50, "stretch")),
        ([(30, 30), (34, 34), (33, 33)], (32, 32, "stretch")),
        ([(500, 500)], (112, 112, "stretch")),
        ([(100, 104), (90, 92)], (96, 96, "stretch")),
        # Photographs held in both ways become squares; those all held alike keep their shape.
        ([(300, 400), (400, 300)], (112, 112, "crop")),
        ([(1080, 1920)], (64, 112, "stretch")),
        ([(400, 448)], (112, 112, "crop")),
    ],
)
def test_the_size_is_that_of_the_images_within_bounds(sample, image) -> None:
    looks = [Look(height, width, is_grey=False) for height, width in sample] * 10
    found = values(survey(*looks))["image"]
    assert (found["height"], found["width"], found.get("resize", "stretch")) == image


def test_images_without_colours_have_one_channel() -> None:
    grey, colour = Look(32, 32, is_grey=True), Look(32, 32, is_grey=False)
    assert values(survey(*[grey] * 95, *[colour] * 5))["image"]["channels"] == 1
    assert values(survey(*[grey] * 50, *[colour] * 50))["image"]["channels"] == 3


@pytest.mark.parametrize(
    ("size", "channels", "classes"),
    [
        ((4, 4), 1, 2),
        ((16, 16), 3, 40),
        ((17, 17), 1, 40),
        ((48, 48), 1, 2),
        ((24, 48), 3, 40),
        ((49, 64), 1, 4),
        ((64, 112), 3, 40),
        ((112, 112), 3, 5),
    ],
)
def test_the_architectures_fit_the_size_and_the_teacher_is_larger(size, channels: int, classes: int) -> None:
    train = {f"class {index}": 100 for index in range(classes)}
    found = values(survey(Look(*size, is_grey=channels == 1), train=train))
    assert (found["image"]["height"], found["image"]["width"]) == size
    teacher, student = (
        build_model(
            registry.load(found[role]["architecture"]),
            name=role,
            image_shape=(*size, channels),
            num_classes=classes,
        ).count_params()
        for role in ("teacher", "student")
    )
    assert teacher > 2 * student


def test_few_images_are_seen_more_often() -> None:
    recipes = [
        values(survey(train={"cat": count, "dog": count}))["teacher"] for count in (100, 5000, 100_000)
    ]
    assert [recipe["epochs"] for recipe in recipes] == [60, 10, 5]
    assert [recipe["batch_size"] for recipe in recipes] == [16, 64, 64]


@pytest.mark.parametrize(
    ("train", "weights"), [({"cat": 30, "dog": 10}, None), ({"cat": 31, "dog": 10}, "balanced")]
)
def test_classes_are_balanced_beyond_three_to_one(train: dict[str, int], weights: str | None) -> None:
    assert values(survey(train=train)).get("class_weights") == weights


@pytest.mark.parametrize(
    ("cats", "dogs", "bar"),
    [(90, 59, 0.61), (50, 50, 0.51), (57, 43, 0.58), (1, 1, 0.51), (989, 11, 0.99), (995, 5, 0.9951)],
)
def test_a_student_must_beat_naming_the_most_frequent_class(cats: int, dogs: int, bar: float) -> None:
    assert values(survey(test={"cat": cats, "dog": dogs}))["evaluation"] == {"min_accuracy": bar}
    assert cats / (cats + dogs) < bar <= 1


def test_of_few_test_images_one_more_than_by_guessing_is_enough() -> None:
    for cats, dogs in ((1, 1), (2, 1), (9, 1), (30, 29), (98, 1)):
        bar = values(survey(test={"cat": cats, "dog": dogs}))["evaluation"]["min_accuracy"]
        assert cats / (cats + dogs) < bar <= (cats + 1) / (cats + dogs)


def test_no_accuracy_is_asked_for_on_test_images_of_one_class() -> None:
    sections = propose(survey(test={"cat": 1, "dog": 0}), name="pets", data={})
    assert sections[-1].value == {"min_accuracy": 0.0}
    assert "all test images are of one class" in sections[-1].comment


def test_of_few_images_more_are_held_out() -> None:
    assert choose_fractions(survey()) == {"train": 0.8, "validation": 0.1, "test": 0.1}
    few = survey(train={"cat": 100, "dog": 100})
    assert choose_fractions(few) == {"train": 0.6, "validation": 0.2, "test": 0.2}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("photos", "photos"),
        ("/data/my pets/", "my_pets"),
        ("photos/{YYYY}-{MM}-{DD}", "photos"),
        ("photos/{SPAN}/v{VERSION}", "photos"),
        ("cars196/b:1.0.0", "b"),
        ("lists/all pets.csv", "all_pets"),
        ("kaggle/train.csv", "kaggle"),
        ("http://localhost:80/pets.parquet", "pets"),
        ("..", "images"),
        ("/データ", "images"),
    ],
)
def test_the_name_is_made_of_the_path(path: str, name: str) -> None:
    assert choose_name(path) == name
