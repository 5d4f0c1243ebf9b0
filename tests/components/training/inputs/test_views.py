"""The pixels that the teacher saw when its predictions were stored, and those that the students see.

The teacher's logits are the pixels themselves, from 0 to 255, which float16 holds exactly.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.layout import MANIFEST_FILE
from components.settings.training import AugmentSettings, TrainingJob, Views
from components.teacher_predictions.store import open_predictions, read_logits
from components.training.inputs.batches import training_batches
from components.training.inputs.training_data import TrainingData

SHAPE = (6, 5, 3)
NUM_PIXELS = 90
COUNT = 100
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, NUM_PIXELS))

KINDS: dict[str, dict[str, Any]] = {
    "flip": {"horizontal_flip": True},
    "shift": {"shift": 0.3},
    "padded_crop": {"padded_crop": 2},
    "crop": {"crop": 0.3},
    "colour": {"colour": 0.4},
    "mixup": {"mixup": 1.0},
    "all": {"horizontal_flip": True, "shift": 0.3, "crop": 0.3, "colour": 0.4, "mixup": 0.5},
}


def views_of(kind: str, **changes: Any) -> Views:
    return Views(**({"number": 3, "seed": 7, "augment": AugmentSettings(**KINDS[kind])} | changes))


@pytest.fixture(scope="module")
def example_files(tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str]) -> list[str]:
    """Three files, one of them empty; the label of an example is its number."""
    directory = tmp_path_factory.mktemp("examples")
    return [
        write_examples(
            directory / name,
            pixels=PIXELS[rows],
            labels=np.arange(COUNT)[rows],
            ids=[f"train/{number}" for number in range(COUNT)[rows]],
        )
        for name, rows in (("a", slice(0, 70)), ("b", slice(70, 70)), ("c", slice(70, COUNT)))
    ]


def pixels_as_logits(scale: float = 255) -> keras.Model:
    layers = [keras.layers.Rescaling(scale), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(SHAPE), *layers])


Store = Callable[..., list[str]]


@pytest.fixture
def store(tmp_path: pathlib.Path, example_files: list[str], store_predictions: Callable[..., None]) -> Store:
    """A function that stores what a teacher says of views, and returns the files."""

    def run(views: Views, *, teacher: keras.Model | None = None, top_k: int | None = None) -> list[str]:
        store_predictions(
            teacher or pixels_as_logits(),
            teacher_fingerprint="abc",
            example_files=example_files,
            image_shape=SHAPE,
            batch_size=40,
            directory=str(tmp_path),
            views=views,
            top_k=top_k,
        )
        return open_stored(tmp_path, example_files, views=views)

    return run


def open_stored(directory: pathlib.Path, files: list[str], *, views: Views | None) -> list[str]:
    return open_predictions(
        str(directory), teacher_fingerprint="abc", num_examples=COUNT, example_files=files, views=views
    )


Example = dict[str, np.ndarray]


def seen(
    job: TrainingJob, files: list[str], *, epoch: int, predictions: list[str], num_examples: int = COUNT
) -> dict[int, Example]:
    """Reads what is seen in an epoch: the image and the targets of each example, by its label."""
    data = TrainingData(
        training_files=files,
        num_training_examples=num_examples,
        validation_files=[],
        num_validation_examples=0,
        class_names=[str(number) for number in range(NUM_PIXELS)],
        prediction_files=predictions,
    )
    batches = training_batches(data, job, epoch=tf.Variable(epoch, dtype=tf.int64))
    found = [
        {"image": image, **{name: values[row] for name, values in targets.items()}}
        for images, targets in batches.as_numpy_iterator()
        for row, image in enumerate(images)
    ]
    assert len(found) == num_examples
    return {int(example["label"]): example for example in found}


def test_students_learn_from_the_logits_of_the_most_likely_classes(
    store: Store, example_files: list[str], make_job: Callable[..., TrainingJob]
) -> None:
    views = views_of("shift")
    exact = read_logits(store(views), num_classes=NUM_PIXELS).reshape(COUNT, views.number, NUM_PIXELS)
    predictions = store(views, top_k=5)
    job = make_job(shape=SHAPE, batch_size=8, views=views)

    for number, example in seen(job, example_files, epoch=1, predictions=predictions).items():
        ranked = np.argsort(-exact[number, 1], kind="stable")
        logits = example["teacher_logits"]
        np.testing.assert_array_equal(logits[ranked[:5]], exact[number, 1, ranked[:5]])
        assert len(set(logits[ranked[5:]])) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_student_and_teacher_see_the_same_pixels(
    kind: str, store: Store, example_files: list[str], make_job: Callable[..., TrainingJob]
) -> None:
    views = views_of(kind)
    predictions = store(views)
    logits = read_logits(predictions, num_classes=NUM_PIXELS).reshape(COUNT, views.number, NUM_PIXELS)

    for batch_size, epoch in ((8, 0), (33, 1), (1, 2), (100, 3)):
        job = make_job(shape=SHAPE, batch_size=batch_size, views=views)
        students = seen(job, example_files, epoch=epoch, predictions=predictions)
        assert sorted(students) == list(range(COUNT))
        for number, example in students.items():
            pixels = np.rint(example["image"] * 255)
            # Nothing but these values is ever seen, so that equal pixels are equal bits.
            np.testing.assert_array_equal(example["image"], pixels.astype(np.float32) / np.float32(255))
            np.testing.assert_array_equal(example["teacher_logits"], pixels.reshape(-1))
            # Over the epochs each view comes once, and then the first again.
            np.testing.assert_array_equal(example["teacher_logits"], logits[number, epoch % 3])
    differ = [(logits[:, one] != logits[:, other]).any(axis=1) for one, other in ((0, 1), (1, 2), (0, 2))]
    assert np.mean(differ) > 0.4  # Half of two flips are the same.


def test_scratch_sees_the_same_views_as_a_distilled_student(
    store: Store, example_files: list[str], make_job: Callable[..., TrainingJob]
) -> None:
    views = views_of("all")
    predictions = store(views)
    job = make_job(shape=SHAPE, batch_size=8, views=views)

    scratch = seen(job, example_files, epoch=1, predictions=[])
    distilled = seen(job, example_files, epoch=1, predictions=predictions)

    assert list(scratch) == list(distilled)  # In the same order.
    for number, example in scratch.items():
        for name, value in example.items():
            np.testing.assert_array_equal(value, distilled[number][name])


def test_a_mixed_image_says_of_which_two_it_is_made(
    store: Store, example_files: list[str], make_job: Callable[..., TrainingJob]
) -> None:
    views = views_of("mixup")
    job = make_job(shape=SHAPE, batch_size=8, views=views)

    for number, example in seen(job, example_files, epoch=1, predictions=store(views)).items():
        share, other = np.float64(example["mixing"]), example["mixed_label"]
        expected = share * PIXELS[number] + (1 - share) * PIXELS[other]
        np.testing.assert_allclose(example["teacher_logits"], expected, atol=0.5 + 1e-3)
        assert other != number


def test_views_do_not_depend_on_the_files_beside_that_of_an_image(
    store: Store, example_files: list[str], make_job: Callable[..., TrainingJob]
) -> None:
    views = views_of("all")
    predictions = store(views)
    job = make_job(shape=SHAPE, batch_size=8, views=views)

    alone = seen(job, example_files[2:], epoch=2, predictions=predictions[2:], num_examples=30)

    for number, example in alone.items():
        pixels = np.rint(example["image"] * 255).reshape(-1)
        np.testing.assert_array_equal(example["teacher_logits"], pixels)
        np.testing.assert_array_equal(
            read_logits(predictions, num_classes=NUM_PIXELS).reshape(COUNT, 3, -1)[number, 2], pixels
        )


@pytest.mark.parametrize(
    "other",
    [
        views_of("flip", number=4),
        views_of("flip", seed=8),
        views_of("flip", augment=AugmentSettings(shift=0.1)),
        None,
    ],
)
def test_predictions_for_other_views_are_refused(
    other: Views | None, store: Store, example_files: list[str], tmp_path: pathlib.Path
) -> None:
    store(views_of("flip"))

    with pytest.raises(
        InputError, match=r"of other views of the images: .* delete .* and run again"
    ) as caught:
        open_stored(tmp_path, example_files, views=other)
    assert "\n" not in str(caught.value)


def test_logits_are_rounded_to_float16_and_none_becomes_infinite(
    store: Store, example_files: list[str], tmp_path: pathlib.Path
) -> None:
    """Those of two teachers, the one of plain images, whose logits are up to 1 and up to a million."""
    views = views_of("shift", number=1)
    exact = read_logits(store(views, teacher=pixels_as_logits(255)), num_classes=NUM_PIXELS) / 255

    small = read_logits(store(views, teacher=pixels_as_logits(1.0)), num_classes=NUM_PIXELS)
    large = read_logits(store(views, teacher=pixels_as_logits(-1e6)), num_classes=NUM_PIXELS)

    np.testing.assert_allclose(small, exact, rtol=2**-11, atol=0)
    assert small.max() == 1
    np.testing.assert_allclose(large, np.maximum(-1e6 * exact, -65504), rtol=2**-11)
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    assert manifest["num_views"] == 1
