import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.settings.models import ImageSettings, ModelSettings
from components.settings.training import AugmentSettings, HardwareSettings, TrainingJob
from components.training.inputs.batches import count_labels, epoch_counter, ordered_batches, training_batches
from components.training.inputs.training_data import TrainingData

COUNT = 50
SHAPE = (2, 2, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str]) -> list[str]:
    """Two files; the pixels and the label of example i are all i."""
    directory = tmp_path_factory.mktemp("examples")
    numbers = np.arange(COUNT)
    pixels = np.broadcast_to(numbers[:, None], (COUNT, 4))
    return [
        write_examples(
            directory / f"{part}.tfrecord",
            pixels=pixels[rows],
            labels=numbers[rows],
            ids=[f"{i}" for i in numbers[rows]],
        )
        for part, rows in (("a", slice(0, 30)), ("b", slice(30, COUNT)))
    ]


def write_predictions(
    path: pathlib.Path, ids: list[int], *, logits: Callable[[int], list[float]] = lambda i: [i, -i]
) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in ids:
            example = tf.train.Example()
            example.features.feature["id"].bytes_list.value.append(f"{i}".encode())
            example.features.feature["logits"].float_list.value.extend(logits(i))
            writer.write(example.SerializeToString())
    return str(path)


def batches_of(
    files: list[str],
    *,
    num_examples: int = COUNT,
    batch_size: int = 8,
    seed: int = 1,
    epoch: tf.Variable | None = None,
    augment: AugmentSettings | None = None,
    labels: bool = True,
    **changes: Any,
) -> tf.data.Dataset:
    data = TrainingData(
        training_files=files,
        num_training_examples=num_examples,
        validation_files=[],
        num_validation_examples=0,
        class_names=["a", "b"],
        **changes,
    )
    model = ModelSettings(architecture="digits_student", epochs=1, batch_size=batch_size, learning_rate=0.001)
    job = TrainingJob(
        name="Teacher",
        model=model,
        image=ImageSettings(height=2, width=2, channels=1),
        hardware=HardwareSettings(),
        seed=seed,
        labels=labels,
        augment=augment,
    )
    return training_batches(data, job, epoch=epoch_counter() if epoch is None else epoch)


def labels_of(batches: Iterable[Any]) -> list[int]:
    return [int(label) for _, targets in batches for label in targets["label"]]


def test_every_epoch_holds_every_example_once_in_another_order(files: list[str]) -> None:
    epoch = epoch_counter()
    batches = batches_of(files, epoch=epoch)

    first = labels_of(batches)
    epoch.assign(1)
    second = labels_of(batches)

    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second


def test_the_order_depends_on_the_seed_alone(files: list[str]) -> None:
    orders = []
    for global_seed in (0, 5):
        keras.utils.set_random_seed(global_seed)
        orders.append(labels_of(batches_of(files)))

    assert orders[0] == orders[1]
    assert orders[0] != labels_of(batches_of(files, seed=2))


def test_predictions_stay_with_their_examples_and_change_no_order(
    files: list[str], tmp_path: pathlib.Path
) -> None:
    prediction_files = [
        write_predictions(tmp_path / "a", list(range(30))),
        write_predictions(tmp_path / "b", list(range(30, COUNT))),
    ]
    batches = batches_of(files, prediction_files=prediction_files)

    seen = [(images, targets) for images, targets in batches]

    labels = [int(label) for _, targets in seen for label in targets["label"]]
    assert labels == labels_of(batches_of(files))
    for images, targets in seen:
        np.testing.assert_allclose(images[:, 0, 0, 0] * 255, targets["label"], rtol=1e-5)
        np.testing.assert_array_equal(targets["teacher_logits"][:, 0], targets["label"])


def test_predictions_in_another_order_are_refused(files: list[str], tmp_path: pathlib.Path) -> None:
    reordered = write_predictions(tmp_path / "all", [1, 0, *range(2, COUNT)])
    batches = batches_of(files, prediction_files=[reordered])

    with pytest.raises(tf.errors.InvalidArgumentError, match="belong to other examples"):
        labels_of(batches)


@pytest.mark.parametrize("said", [COUNT - 1, COUNT + 1])
def test_another_number_of_examples_than_said_is_refused(files: list[str], said: int) -> None:
    with pytest.raises(tf.errors.FailedPreconditionError, match=str(said)):
        labels_of(batches_of(files, num_examples=said))


def test_ordered_batches_keep_the_order_of_the_files(files: list[str]) -> None:
    batches = list(ordered_batches(files, image_shape=SHAPE, batch_size=16))

    assert [images.shape[0] for images, _ in batches] == [16, 16, 16, 2]
    assert labels_of(batches) == list(range(COUNT))
    assert batches[0][1]["id"].numpy()[:2].tolist() == [b"0", b"1"]


def images_of(batches: Iterable[Any]) -> np.ndarray:
    return np.concatenate([images for images, _ in batches])


def test_augmented_images_depend_on_seed_and_epoch_alone(files: list[str]) -> None:
    """So that a training that is resumed in some epoch goes on with the same images."""
    augment = AugmentSettings(colour=0.5, mixup=0.4)
    second_epoch = tf.Variable(1, dtype=tf.int64)
    went_through_the_first = epoch_counter()
    both = batches_of(files, epoch=went_through_the_first, augment=augment)
    first = images_of(both)
    went_through_the_first.assign(1)

    keras.utils.set_random_seed(5)
    resumed = images_of(batches_of(files, epoch=second_epoch, augment=augment))

    np.testing.assert_array_equal(images_of(both), resumed)
    assert not np.array_equal(first, resumed)
    other_seed = batches_of(files, seed=2, epoch=second_epoch, augment=augment)
    assert not np.array_equal(images_of(other_seed), resumed)


def test_equal_images_are_augmented_differently(tmp_path: pathlib.Path, write_examples: Any) -> None:
    equal = write_examples(
        tmp_path / "equal.tfrecord",
        pixels=np.full((16, 4), 100),
        labels=np.zeros(16),
        ids=[f"{i}" for i in range(16)],
    )

    images = images_of(batches_of([equal], num_examples=16, augment=AugmentSettings(colour=0.5)))

    assert len(np.unique(images[:, 0, 0, 0])) > 8


def test_without_labels_the_class_that_the_teacher_names_stands_for_the_label(
    files: list[str], tmp_path: pathlib.Path
) -> None:
    """The teacher names the first class from example 25 on."""
    predictions = [write_predictions(tmp_path / "all", list(range(COUNT)), logits=lambda i: [i, 24.5])]

    training = batches_of(files, prediction_files=predictions, labels=False)
    validation = ordered_batches(
        files,
        image_shape=SHAPE,
        batch_size=16,
        num_examples=COUNT,
        prediction_files=predictions,
        num_classes=2,
    )

    for images, targets in training:
        numbers = np.rint(images[:, 0, 0, 0] * 255)
        np.testing.assert_array_equal(targets["label"], numbers < 25)
    assert labels_of(validation) == [1] * 25 + [0] * 25


def test_predictions_for_validation_in_another_order_are_refused(
    files: list[str], tmp_path: pathlib.Path
) -> None:
    reordered = write_predictions(tmp_path / "all", [1, 0, *range(2, COUNT)])
    batches = ordered_batches(
        files, image_shape=SHAPE, batch_size=8, prediction_files=[reordered], num_classes=2
    )

    with pytest.raises(tf.errors.InvalidArgumentError, match="belong to other examples"):
        labels_of(batches)


def test_weights_of_classes_and_of_examples_are_multiplied(
    tmp_path: pathlib.Path, write_examples: Callable[..., str]
) -> None:
    file = write_examples(
        tmp_path / "weighted.tfrecord",
        pixels=np.zeros((4, 4)),
        labels=[0, 1, 1, 2],
        ids=list("abcd"),
        weights=[1.0, 0.5, 0.0, 3.0],
    )

    def weights(**settings: Any) -> list[tuple[int, float]]:
        batches = batches_of([file], num_examples=4, batch_size=4, **settings)
        ((_, targets, found),) = batches
        pairs = zip(targets["label"].numpy().tolist(), found.numpy().tolist(), strict=True)
        return sorted(pairs)

    assert weights(weighted=True) == [(0, 1.0), (1, 0.0), (1, 0.5), (2, 3.0)]
    assert weights(class_weights=[4.0, 2.0, 1.0]) == [(0, 4.0), (1, 2.0), (1, 2.0), (2, 1.0)]
    both = weights(weighted=True, class_weights=[4.0, 2.0, 1.0])
    assert both == [(0, 4.0), (1, 0.0), (1, 1.0), (2, 3.0)]
    assert len(next(iter(batches_of([file], num_examples=4)))) == 2


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str]) -> str:
    """Examples 100 to 124, whose pixels are their number, without labels."""
    numbers = np.arange(100, 125)
    return write_examples(
        tmp_path_factory.mktemp("unlabelled") / "all.tfrecord",
        pixels=np.broadcast_to(numbers[:, None], (25, 4)),
        labels=[-1] * 25,
        ids=[f"{number}" for number in numbers],
    )


def numbers_of(batches: Iterable[Any]) -> list[int]:
    return np.rint(images_of(batches)[:, 0, 0, 0] * 255).astype(int).tolist()


def test_examples_without_labels_are_shuffled_among_the_others_with_their_predictions(
    files: list[str], unlabelled: str, tmp_path: pathlib.Path
) -> None:
    batches = batches_of(
        files,
        unlabelled_files=[unlabelled],
        num_unlabelled_examples=25,
        prediction_files=[write_predictions(tmp_path / "labelled", list(range(COUNT)))],
        unlabelled_prediction_files=[write_predictions(tmp_path / "others", list(range(100, 125)))],
    )

    seen = list(batches)

    assert len(batches) == len(seen) == 10
    numbers = numbers_of(seen)
    assert sorted(numbers) == [*range(COUNT), *range(100, 125)]
    assert labels_of(seen) == [number if number < COUNT else -1 for number in numbers]
    logits = [float(each) for _, targets in seen for each in targets["teacher_logits"][:, 0]]
    assert logits == numbers


def test_a_window_of_the_shuffling_holds_examples_with_and_without_labels(
    files: list[str], unlabelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 75 examples ten batches of one are shuffled at a time; a third of them has no label."""
    monkeypatch.setattr("components.training.inputs.batches.SHUFFLE_BYTES", 1)

    labels = labels_of(
        batches_of(files, unlabelled_files=[unlabelled], num_unlabelled_examples=25, batch_size=1)
    )

    thirds = [labels[start : start + 25].count(-1) for start in (0, 25, 50)]
    assert sum(thirds) == 25
    assert min(thirds) >= 5


@pytest.mark.parametrize("said", [24, 26])
def test_another_number_of_examples_without_labels_than_said_is_refused(
    files: list[str], unlabelled: str, said: int
) -> None:
    with pytest.raises(tf.errors.FailedPreconditionError, match=str(said)):
        labels_of(batches_of(files, unlabelled_files=[unlabelled], num_unlabelled_examples=said))


def test_an_example_without_a_label_has_the_weight_1(files: list[str], unlabelled: str) -> None:
    batches = batches_of(
        files,
        unlabelled_files=[unlabelled],
        num_unlabelled_examples=25,
        class_weights=[3.0 + number for number in range(COUNT)],
    )

    for _, targets, weights in batches:
        labels = targets["label"].numpy()
        np.testing.assert_array_equal(weights, np.where(labels < 0, 1, 3 + labels))


def test_counts_the_labels(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> None:
    labels = [0] * 70 + [2] * 30
    file = write_examples(
        tmp_path / "all.tfrecord", pixels=np.zeros((100, 4)), labels=labels, ids=[str(i) for i in range(100)]
    )

    assert count_labels([file]) == {0: 70, 2: 30}
