"""Trains real models on scikit-learn's digits: what a run leaves behind and what it guarantees."""

import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from components.distiller.methods.base import Method
from components.distiller.methods.hint import Hint
from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.errors import InputError
from components.settings.training import AugmentSettings, TrainingJob, Views
from components.teacher_predictions.records import Batch, write_records
from components.teacher_predictions.store import fingerprint_teacher, open_predictions, read_logits
from components.training.callbacks.checkpoints import Checkpoints, State
from components.training.hardware.precision import resolve_precision
from components.training.inputs.batches import epoch_counter, ordered_batches, training_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import Destination, train_and_export, train_model
from components.training.learner import Learner, Supervised
from components.training.loop import Batches, choose_steps_per_execution, fit
from components.training.online_teacher import OnlineTeacher, online

SHAPE = (8, 8, 1)
TRAINING, VALIDATION = slice(0, 600), slice(600, 900)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_examples: Callable[..., str]) -> dict[str, Any]:
    digits = load_digits()
    directory = tmp_path_factory.mktemp("examples")

    def write(name: str, rows: slice) -> str:
        pixels = (digits.images[rows] * 255 / 16).round()
        ids = [str(i) for i in range(rows.start, rows.stop)]
        return write_examples(directory / name, pixels=pixels, labels=digits.target[rows], ids=ids)

    return {
        "training_files": [write("training.tfrecord", TRAINING)],
        "num_training_examples": 600,
        "validation_files": [write("validation.tfrecord", VALIDATION)],
        "num_validation_examples": 300,
        "class_names": [f"digit {i}" for i in range(10)],
    }


@pytest.fixture(scope="module")
def train(
    tmp_path_factory: pytest.TempPathFactory,
    data: dict[str, Any],
    transform_graph: str,
    make_job: Callable[..., TrainingJob],
) -> Callable[..., pathlib.Path]:
    """A function that trains a digits student and returns the directory with its outputs.

    A SavedModel is written only of what is to be `served`.
    """

    def run(
        *,
        objective: keras.losses.Loss | None = None,
        prediction_files: list[str] | None = None,
        examples: dict[str, Any] | None = None,
        served: bool = False,
        **options: Any,
    ) -> pathlib.Path:
        directory = tmp_path_factory.mktemp("training")
        others = {key: options.pop(key) for key in ("teacher", "checkpoints") if key in options}
        job = make_job(**({"name": "Scratch", "epochs": 2} | options))
        everything = TrainingData(**(data | (examples or {})), prediction_files=prediction_files or [])
        objective = objective or Supervised()
        keras_file, run_dir = str(directory / "model.keras"), str(directory / "run")
        if served:
            train_and_export(
                job,
                everything,
                objective=objective,
                transform_graph=transform_graph,
                destination=Destination(
                    keras_file=keras_file, serving_dir=str(directory / "Format-Serving"), run_dir=run_dir
                ),
                **others,
            )
        else:
            train_model(job, everything, objective=objective, run_dir=run_dir, **others).save(keras_file)
        return directory

    return run


@pytest.fixture(scope="module")
def scratch(train: Callable[..., pathlib.Path]) -> pathlib.Path:
    return train(served=True)


@pytest.fixture(scope="module")
def teacher_file(train: Callable[..., pathlib.Path]) -> str:
    return str(train(architecture="digits_teacher", epochs=1) / "model.keras")


@pytest.fixture(scope="module")
def predict(
    teacher_file: str,
    tmp_path_factory: pytest.TempPathFactory,
    store_predictions: Callable[..., None],
) -> Callable[..., list[str]]:
    """A function that stores what the teacher says of examples, or of views of them."""
    fingerprint = fingerprint_teacher(teacher_file)

    def run(example_files: list[str], num_examples: int, *, views: Views | None = None) -> list[str]:
        directory = str(tmp_path_factory.mktemp("predictions"))
        store_predictions(
            keras.saving.load_model(teacher_file),
            teacher_fingerprint=fingerprint,
            example_files=example_files,
            image_shape=SHAPE,
            batch_size=64,
            directory=directory,
            views=views,
        )
        return open_predictions(
            directory,
            teacher_fingerprint=fingerprint,
            num_examples=num_examples,
            example_files=example_files,
            views=views,
        )

    return run


@pytest.fixture(scope="module")
def prediction_files(predict: Callable[..., list[str]], data: dict[str, Any]) -> list[str]:
    return predict(data["training_files"], 600)


@pytest.fixture(scope="module")
def store_exactly(
    teacher_file: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[str]], list[str]]:
    """A function that stores what the teacher says of examples without rounding it."""

    def run(example_files: list[str]) -> list[str]:
        teacher, stored = keras.saving.load_model(teacher_file), []
        for file in example_files:
            records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(file)]
            ids, images = (
                [record.features.feature[key].bytes_list.value[0] for record in records]
                for key in ("id", "image")
            )
            pixels = np.array([np.frombuffer(image, np.uint8).reshape(SHAPE) for image in images]) / 255
            stored.append(str(tmp_path_factory.mktemp("exact") / pathlib.Path(file).name))
            logits = teacher.predict(pixels, verbose=0)
            write_records(stored[-1], [Batch(0, np.array(ids, object), logits)])
        return stored

    return run


def kd(*, weight: float, temperature: float = 4.0) -> Distillation:
    return Distillation(Kd(name="student", method="kd", student_loss_weight=weight, temperature=temperature))


def weights_of(directory: pathlib.Path) -> list[np.ndarray]:
    return keras.saving.load_model(directory / "model.keras").get_weights()


def curve_of(directory: pathlib.Path, key: str) -> list[float]:
    return [entry[key] for entry in json.loads((directory / "run" / "history.json").read_text())["epochs"]]


def validation_accuracy(directory: pathlib.Path) -> float:
    """Computed with NumPy from the pixels, apart from everything that trained the model."""
    digits = load_digits()
    images = (digits.images[VALIDATION] * 255 / 16).round()[..., None] / 255
    logits = keras.saving.load_model(directory / "model.keras").predict(images, verbose=0)
    return float((logits.argmax(axis=-1) == digits.target[VALIDATION]).mean())


def test_training_again_gives_the_same_weights(
    train: Callable[..., pathlib.Path], scratch: pathlib.Path
) -> None:
    for first, second in zip(weights_of(scratch), weights_of(train()), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_checkpoint_of_another_configuration_is_ignored_and_the_user_told(
    train: Callable[..., pathlib.Path],
    scratch: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = tmp_path / "Scratch"
    other = Checkpoints(directory=directory, identity={"job": "a", "code": "b", "libraries": "c"})
    ones = [np.ones(3)]
    other.save(State(history=[], variables=ones, accuracies=[1.0], best_weights=ones), phase="training")

    with caplog.at_level("INFO", logger="components"):
        directory_of_run = train(
            checkpoints=Checkpoints(
                directory=directory, identity={"job": "a", "code": "B", "libraries": "C"}
            ),
            served=True,
        )

    (told,) = [record.told for record in caplog.records if hasattr(record, "told")]
    assert told == (
        f"ignores the checkpoint {directory}/training.npz of another configuration (code, libraries changed) "
        "and starts over"
    )
    for first, second in zip(weights_of(scratch), weights_of(directory_of_run), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not directory.exists()


def test_a_training_that_ended_before_its_model_was_written_is_not_repeated(
    data: dict[str, Any],
    make_job: Callable[..., TrainingJob],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The last epoch is in the checkpoint too, and the best one, which was not the last."""
    checkpoints = Checkpoints(directory=tmp_path / "checkpoints", identity={"job": "a"})

    def train(run_dir: str) -> list[np.ndarray]:
        model = train_model(
            make_job(epochs=6, learning_rate=0.1),
            TrainingData(**data),
            objective=Supervised(),
            run_dir=str(tmp_path / run_dir),
            checkpoints=checkpoints,
        )
        return model.get_weights()

    first = train("first")
    with caplog.at_level("INFO", logger="components"):
        second = train("second")

    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert told == ["is trained already, by its last checkpoint"]
    histories = [(tmp_path / name / "history.json").read_text() for name in ("first", "second")]
    assert histories[0] == histories[1]
    assert json.loads(histories[0])["best_epoch"] < 6
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


class Interruption(logging.Handler):
    """Ends a training as Ctrl-C does, when it begins an epoch."""

    def __init__(self, epoch: str) -> None:
        super().__init__()
        self._text = f"Teacher: epoch {epoch}"

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._text):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("precision", "views"),
    [
        pytest.param("float32", None, id="from labels"),
        pytest.param(
            "mixed_float16",
            Views(number=3, seed=3, augment=AugmentSettings(shift=0.2)),
            id="on stored views in mixed precision",
        ),
    ],
)
def test_an_interrupted_training_goes_on_along_its_recipe(
    precision: str,
    views: Views | None,
    data: dict[str, Any],
    predict: Callable[..., list[str]],
    make_job: Callable[..., TrainingJob],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To the same weights, averages, rates, views and best epoch; momentum, step and average are restored."""
    stored = predict(data["training_files"], 600, views=views) if views else []
    job = make_job(
        epochs=4,
        learning_rate=1.0,
        optimizer={"name": "sgd", "weight_decay": 0.001},
        schedule={"name": "cosine", "warmup_epochs": 0.5},
        clip_norm=1.0,
        ema_decay=0.8,
        precision=precision,
        views=views,
    )

    def train(run_dir: str, checkpoints: str) -> list[np.ndarray]:
        model = train_model(
            job,
            TrainingData(**data, prediction_files=stored),
            objective=kd(weight=0.5) if views else Supervised(),
            run_dir=str(tmp_path / run_dir),
            checkpoints=Checkpoints(directory=tmp_path / checkpoints, identity={"job": "a"}),
        )
        return model.get_weights()

    caplog.set_level("INFO", logger="components")
    progress = logging.getLogger("components.training.callbacks.progress")
    interruption = Interruption("3/4")
    progress.addHandler(interruption)
    try:
        with pytest.raises(KeyboardInterrupt):
            train("interrupted", "checkpoints")
    finally:
        progress.removeHandler(interruption)

    resumed = train("resumed", "checkpoints")

    assert "Teacher: goes on from epoch 3, by its last checkpoint" in caplog.messages
    whole = train("whole", "others")
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    histories = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "resumed")]
    for entry in (*histories[0]["epochs"], *histories[1]["epochs"]):
        del entry["seconds"]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("damage", ["cut short", "changed"])
def test_a_checkpoint_that_cannot_be_read_is_none(
    damage: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(directory=tmp_path, identity={"job": "a"})
    values = [np.arange(1000.0)]
    state = State(history=[], variables=values, accuracies=[0.5], best_weights=values)
    checkpoints.save(state, phase="training")
    np.testing.assert_array_equal(
        checkpoints.load(phase="training", name="Teacher").variables, state.variables
    )
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content if damage == "changed" else content[:5000])

    assert checkpoints.load(phase="training", name="Teacher") is None
    assert caplog.messages[-1] == f"Teacher: cannot read the checkpoint {path} and starts over"


def test_a_distillation_that_weighs_only_the_labels_is_training_from_scratch(
    train: Callable[..., pathlib.Path], scratch: pathlib.Path, prediction_files: list[str]
) -> None:
    """The comparison is fair: same initial weights, same batches, same order."""
    objective = kd(weight=1.0)

    distilled = train(objective=objective, prediction_files=prediction_files)

    for first, second in zip(weights_of(scratch), weights_of(distilled), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_distilled_student_comes_closer_to_its_teacher(
    train: Callable[..., pathlib.Path], scratch: pathlib.Path, prediction_files: list[str]
) -> None:
    objective = kd(weight=0.0, temperature=1.0)

    distilled = train(objective=objective, prediction_files=prediction_files)

    assert distance_to(prediction_files, distilled) < distance_to(prediction_files, scratch)


def test_a_teacher_in_the_training_step_teaches_what_its_stored_predictions_do(
    train: Callable[..., pathlib.Path],
    teacher_file: str,
    data: dict[str, Any],
    store_exactly: Callable[[list[str]], list[str]],
) -> None:
    objective = kd(weight=0.1, temperature=2.0)

    exact = store_exactly(data["training_files"])
    stored = train(objective=objective, prediction_files=exact)
    online = train(objective=objective, teacher=OnlineTeacher(keras_file=teacher_file))

    for first, second in zip(weights_of(stored), weights_of(online), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)
    for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(curve_of(stored, key), curve_of(online, key), rtol=1e-4)


def test_every_student_sees_the_same_augmented_images(
    train: Callable[..., pathlib.Path], teacher_file: str
) -> None:
    """A distillation that weighs only the labels is training from scratch, as without augmentation."""
    augment = AugmentSettings(shift=0.2, colour=0.2, mixup=0.4)
    objective = kd(weight=1.0)

    scratch = train(augment=augment)
    distilled = train(objective=objective, augment=augment, teacher=OnlineTeacher(keras_file=teacher_file))

    for first, second in zip(weights_of(scratch), weights_of(distilled), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("strategy", ["single", "mirrored"])
def test_a_hint_changes_neither_the_first_weights_of_the_student_nor_its_size(
    train: Callable[..., pathlib.Path], scratch: pathlib.Path, teacher_file: str, strategy: str
) -> None:
    """A hint that weighs nothing is training from scratch, with a projector from 16 to 64 units beside it."""
    method = Hint(
        name="student", method="hint", student_loss_weight=1, teacher_layer="dense", student_layer="dense"
    )

    hinted = train(
        objective=Distillation(method),
        teacher=OnlineTeacher(keras_file=teacher_file, layers=method.layers),
        strategy=strategy,
    )

    for first, second in zip(weights_of(scratch), weights_of(hinted), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_a_teacher_in_the_training_step_is_not_changed_nor_kept(
    data: dict[str, Any],
    teacher_file: str,
    tmp_path: pathlib.Path,
    make_job: Callable[..., TrainingJob],
) -> None:
    teacher = keras.saving.load_model(teacher_file)
    before = teacher.get_weights()
    batches = ordered_batches(data["training_files"], image_shape=SHAPE, batch_size=60, num_examples=600)
    student = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])
    objective = kd(weight=0.0, temperature=2.0)
    learner = Learner(model=student, objective=objective, teacher=online(teacher))

    fit(
        learner,
        make_job(),
        batches=Batches(training=batches, validation=batches, epoch=epoch_counter()),
        run_dir=tmp_path,
    )

    for first, second in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert teacher.trainable
    assert len(learner.trainable_variables) == 2


def test_the_objective_is_told_the_epoch(
    train: Callable[..., pathlib.Path], prediction_files: list[str]
) -> None:
    class OfEpoch(Method):
        def distance(self, targets: dict[str, Any], logits: Any) -> Any:
            return 0 * logits[:, 0] + targets["epoch"]

    method = OfEpoch(name="student", method="of epoch", student_loss_weight=0)

    directory = train(objective=Distillation(method), prediction_files=prediction_files)

    history = json.loads((directory / "run" / "history.json").read_text())
    assert [entry["loss"] for entry in history["epochs"]] == [0, 1]


def distance_to(
    prediction_files: list[str], directory: pathlib.Path, *, images: np.ndarray | None = None
) -> float:
    """The mean KL(teacher ‖ student) over 8-bit images, else the training examples, in NumPy."""
    teacher = read_logits(prediction_files, num_classes=10, at_most=10_000)
    images = (load_digits().images[TRAINING] * 255 / 16).round() if images is None else images
    student = keras.saving.load_model(directory / "model.keras").predict(images[..., None] / 255, verbose=0)
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (teacher, student))
    return float((p * np.log(p / q)).sum(axis=-1).mean())


def test_the_history_has_every_epoch_and_the_best_weights_are_kept(
    train: Callable[..., pathlib.Path],
) -> None:
    directory = train(learning_rate=0.1, epochs=6)  # High enough for the accuracy to go up and down.

    history = json.loads((directory / "run" / "history.json").read_text())

    assert [entry["epoch"] for entry in history["epochs"]] == list(range(1, 7))
    accuracies = [entry["val_accuracy"] for entry in history["epochs"]]
    assert accuracies[-1] < max(accuracies)
    assert history["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert validation_accuracy(directory) == pytest.approx(max(accuracies), abs=1e-6)
    assert history["reference"] == "labels"
    assert set(history["epochs"][0]) == {
        *("epoch", "seconds", "learning_rate"),
        *("loss", "accuracy", "val_loss", "val_accuracy"),
    }
    assert list((directory / "run" / "logs").rglob("events.out.tfevents.*"))


def test_without_labels_nothing_depends_on_them(
    train: Callable[..., pathlib.Path],
    teacher_file: str,
    data: dict[str, Any],
    predict: Callable[..., list[str]],
    prediction_files: list[str],
    tmp_path: pathlib.Path,
    write_examples: Callable[..., str],
) -> None:
    """The same images, once with TFDS's -1 for a label and once with labels."""
    images = (load_digits().images * 255 / 16).round()
    bare = {
        f"{name}_files": [
            write_examples(
                tmp_path / f"{name}.tfrecord",
                pixels=images[rows],
                labels=[-1] * (rows.stop - rows.start),
                ids=[str(i) for i in range(rows.start, rows.stop)],
            )
        ]
        for name, rows in (("training", TRAINING), ("validation", VALIDATION))
    }
    validation = {"validation_prediction_files": predict(data["validation_files"], 300)}
    objective = kd(weight=0.0, temperature=2.0)

    labelled, unlabelled = (
        train(objective=objective, prediction_files=prediction_files, examples=examples, labels=False)
        for examples in (validation, bare | validation)
    )

    for first, second in zip(weights_of(labelled), weights_of(unlabelled), strict=True):
        np.testing.assert_array_equal(first, second)
    history = json.loads((unlabelled / "run" / "history.json").read_text())
    assert history["reference"] == "teacher"
    best = history["epochs"][history["best_epoch"] - 1]
    assert best["val_accuracy"] == max(entry["val_accuracy"] for entry in history["epochs"])
    named = [
        keras.saving.load_model(file).predict(images[VALIDATION][..., None] / 255, verbose=0).argmax(axis=-1)
        for file in (teacher_file, unlabelled / "model.keras")
    ]
    assert best["val_accuracy"] == pytest.approx((named[0] == named[1]).mean(), abs=1e-6)


def test_without_labels_a_teacher_in_the_training_step_is_asked_of_the_augmented_images(
    train: Callable[..., pathlib.Path],
    teacher_file: str,
    data: dict[str, Any],
    predict: Callable[..., list[str]],
    prediction_files: list[str],
) -> None:
    """As with labels, which pure distillation does not look at; stored predictions only stand for them."""
    settings: dict[str, Any] = {
        "objective": kd(weight=0.0, temperature=2.0),
        "teacher": OnlineTeacher(keras_file=teacher_file),
        "augment": AugmentSettings(shift=0.2, mixup=0.2),
        "epochs": 1,
    }
    unlabelled = {"validation_prediction_files": predict(data["validation_files"], 300)}

    with_labels = train(**settings)
    without = train(**settings, examples=unlabelled, prediction_files=prediction_files, labels=False)

    for first, second in zip(weights_of(with_labels), weights_of(without), strict=True):
        np.testing.assert_array_equal(first, second)
    assert json.loads((without / "run" / "history.json").read_text())["reference"] == "teacher"


def test_every_signature_predicts_the_same(scratch: pathlib.Path) -> None:
    pixels = (load_digits().images[600:603] * 255 / 16).round().astype(np.uint8)
    encoded = [tf.io.encode_png(image[..., None]).numpy() for image in pixels]
    examples = []
    for image in encoded:
        example = tf.train.Example()
        example.features.feature["image"].bytes_list.value.append(image)
        examples.append(example.SerializeToString())
    expected = keras.saving.load_model(scratch / "model.keras").predict(pixels[..., None] / 255, verbose=0)

    served = tf.saved_model.load(str(scratch / "Format-Serving")).signatures

    for outputs in (
        served["serving_default"](examples=tf.constant(examples)),
        served["images"](image=tf.constant(encoded)),
        served["transformed"](image=tf.constant([image.tobytes() for image in pixels])),
    ):
        np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.sum(outputs["probabilities"], axis=-1), 1, rtol=1e-5)
        assert [name.decode() for name in outputs["class"].numpy()] == [
            f"digit {i}" for i in expected.argmax(axis=-1)
        ]


def test_predictions_in_another_order_stop_the_training_with_a_sentence(
    train: Callable[..., pathlib.Path], prediction_files: list[str], tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "Split-train"
    directory.mkdir()
    records = [record.numpy() for record in tf.data.TFRecordDataset(prediction_files)]
    with tf.io.TFRecordWriter(str(directory / "training")) as writer:
        for record in records[::-1]:
            writer.write(record)
    objective = kd(weight=0.5)

    with pytest.raises(InputError) as failure:
        train(objective=objective, prediction_files=[str(directory / "training")])

    assert str(failure.value) == (
        f"The teacher predictions below {tmp_path} belong to other examples, or stand in another order: "
        "delete that directory and run again."
    )


def test_predictions_that_are_damaged_stop_the_training_with_a_sentence(
    train: Callable[..., pathlib.Path], prediction_files: list[str], tmp_path: pathlib.Path
) -> None:
    directory = tmp_path / "Split-train"
    directory.mkdir()
    content = bytearray(pathlib.Path(prediction_files[0]).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / "training").write_bytes(content)
    objective = kd(weight=0.5)

    with pytest.raises(
        InputError, match=rf"^A file below .* or {tmp_path} is damaged and cannot be read: delete"
    ):
        train(objective=objective, prediction_files=[str(directory / "training")])


def test_the_served_student_carries_no_teacher(
    train: Callable[..., pathlib.Path], prediction_files: list[str]
) -> None:
    objective = kd(weight=0.5)

    directory = train(objective=objective, prediction_files=prediction_files, epochs=1, served=True)

    variables = tf.train.list_variables(str(directory / "Format-Serving" / "variables" / "variables"))
    stored = sum(int(np.prod(shape)) for name, shape in variables if "VARIABLE_VALUE" in name)
    assert stored == 16 * 65 + 10 * 17
    classes = json.loads((directory / "Format-Serving" / "assets.extra" / "classes.json").read_text())
    assert classes == [f"digit {i}" for i in range(10)]


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(
    data: dict[str, Any], tmp_path: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    """The images of the 5th of 19 batches hold a NaN, in every epoch."""
    spoilt = ordered_batches(data["training_files"], image_shape=SHAPE, batch_size=32, num_examples=600)
    spoilt = spoilt.enumerate().map(lambda i, batch: (tf.where(i == 4, np.nan, 1.0) * batch[0], batch[1]))
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])

    with pytest.raises(InputError, match="The loss of Teacher became nan in epoch 1, step 5;"):
        fit(
            Learner(model=model, objective=Supervised()),
            make_job(epochs=2),
            batches=Batches(training=spoilt, validation=spoilt, epoch=epoch_counter()),
            run_dir=tmp_path,
        )


def test_regularisation_losses_count(
    data: dict[str, Any], tmp_path: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    batches = ordered_batches(data["training_files"], image_shape=SHAPE, batch_size=600, num_examples=600)
    kernel = keras.initializers.Constant(0.1)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_initializer=kernel, kernel_regularizer=keras.regularizers.L2(0.5)),
        ]
    )

    fit(
        Learner(model=model, objective=Supervised()),
        make_job(learning_rate=1e-9),
        batches=Batches(training=batches, validation=batches, epoch=epoch_counter()),
        run_dir=tmp_path,
    )

    # All logits are equal, so the cross-entropy is ln 10; the penalty is 0.5 * 640 * 0.1².
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["epochs"][0]["loss"] == pytest.approx(np.log(10) + 3.2, rel=1e-5)
    assert history["epochs"][0]["val_loss"] == pytest.approx(np.log(10), rel=1e-5)


def test_weights_count_in_training_and_nowhere_else(
    data: dict[str, Any], tmp_path: pathlib.Path, make_job: Callable[..., TrainingJob]
) -> None:
    weighted = TrainingData(**data, class_weights=[2.0, *[0.5] * 9])
    job = make_job(batch_size=600, learning_rate=1e-9)
    kernel = keras.initializers.Constant(0.1)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_initializer=kernel, kernel_regularizer=keras.regularizers.L2(0.5)),
        ]
    )
    epoch = epoch_counter()

    fit(
        Learner(model=model, objective=Supervised()),
        job,
        batches=Batches(
            training=training_batches(weighted, job, epoch=epoch),
            validation=ordered_batches(
                data["training_files"], image_shape=SHAPE, batch_size=600, num_examples=600
            ),
            epoch=epoch,
        ),
        run_dir=tmp_path,
    )

    # All logits are equal: the cross-entropy is ln 10, and the class that is named is 0. As in Keras the
    # weighted sum is divided by the number of examples; the penalty of 3.2 has no weight.
    of_class_0 = np.count_nonzero(load_digits().target[TRAINING] == 0)
    total = 2 * of_class_0 + 0.5 * (600 - of_class_0)
    (entry,) = json.loads((tmp_path / "history.json").read_text())["epochs"]
    assert entry["loss"] == pytest.approx(total / 600 * np.log(10) + 3.2, rel=1e-5)
    assert entry["accuracy"] == pytest.approx(2 * of_class_0 / total, rel=1e-5)
    assert entry["val_loss"] == pytest.approx(np.log(10), rel=1e-5)
    assert entry["val_accuracy"] == pytest.approx(of_class_0 / 600, rel=1e-5)


def test_images_without_labels_count_in_the_distance_and_in_no_accuracy(
    data: dict[str, Any],
    tmp_path: pathlib.Path,
    make_job: Callable[..., TrainingJob],
    write_examples: Callable[..., str],
) -> None:
    """A teacher and a student of all zeros, of which the one is off by 1 in its first logit."""
    pixels = np.zeros((200, 64))
    bare = write_examples(
        tmp_path / "bare.tfrecord", pixels=pixels, labels=[-1] * 200, ids=[str(i) for i in range(200)]
    )
    examples = TrainingData(**data, unlabelled_files=[bare], num_unlabelled_examples=200)
    job = make_job(batch_size=50, learning_rate=1e-9)
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10, kernel_initializer="zeros")]
    )
    first = np.eye(10, dtype=np.float32)[0]
    epoch = epoch_counter()

    fit(
        Learner(
            model=model,
            objective=kd(weight=0.25, temperature=1.0),
            teacher=lambda images: {"teacher_logits": 0 * model(images) + first},
        ),
        job,
        batches=Batches(
            training=training_batches(examples, job, epoch=epoch),
            validation=ordered_batches(data["validation_files"], image_shape=SHAPE, batch_size=50),
            epoch=epoch,
        ),
        run_dir=tmp_path,
    )

    # All of the student's logits are equal: the cross-entropy is ln 10, and the class that is named is 0.
    teacher = np.exp(first) / np.exp(first).sum()
    distance = (teacher * np.log(10 * teacher)).sum()
    (entry,) = json.loads((tmp_path / "history.json").read_text())["epochs"]
    assert entry["loss"] == pytest.approx(0.25 * np.log(10) * 600 / 800 + 0.75 * distance, rel=1e-5)
    assert entry["accuracy"] == pytest.approx((load_digits().target[TRAINING] == 0).mean(), rel=1e-5)


def test_images_without_labels_are_part_of_what_is_learnt(
    train: Callable[..., pathlib.Path],
    data: dict[str, Any],
    store_exactly: Callable[[list[str]], list[str]],
    teacher_file: str,
    tmp_path: pathlib.Path,
    write_examples: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = (load_digits().images[900:1500] * 255 / 16).round()
    bare = write_examples(
        tmp_path / "bare.tfrecord", pixels=images, labels=[-1] * 600, ids=[str(i) for i in range(600)]
    )
    unlabelled = {"unlabelled_files": [bare], "num_unlabelled_examples": 600}
    stored = unlabelled | {"unlabelled_prediction_files": store_exactly([bare])}
    prediction_files = store_exactly(data["training_files"])
    objective = kd(weight=0.1, temperature=2.0)

    with caplog.at_level("INFO", logger="components"):
        distilled = train(objective=objective, prediction_files=prediction_files, examples=stored)
    online = train(objective=objective, examples=unlabelled, teacher=OnlineTeacher(keras_file=teacher_file))

    for first, second in zip(weights_of(distilled), weights_of(online), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)
    steps = {
        record.training_progress.steps for record in caplog.records if hasattr(record, "training_progress")
    }
    assert steps == {38}  # 1,200 examples in batches of 32.
    without = train(objective=objective, prediction_files=prediction_files)
    assert distance_to(stored["unlabelled_prediction_files"], distilled, images=images) < distance_to(
        stored["unlabelled_prediction_files"], without, images=images
    )


def test_the_mirrored_strategy_trains_as_a_single_device_does(
    train: Callable[..., pathlib.Path], scratch: pathlib.Path
) -> None:
    """Without GPUs it mirrors to the one processor."""
    for first, second in zip(weights_of(scratch), weights_of(train(strategy="mirrored")), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_mixed_precision_learns_as_well(train: Callable[..., pathlib.Path], scratch: pathlib.Path) -> None:
    mixed = train(precision="mixed_bfloat16")

    assert validation_accuracy(mixed) > validation_accuracy(scratch) - 0.05


def test_a_training_says_which_precision_suits_the_machine(
    train: Callable[..., pathlib.Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        directory = train(precision="auto", epochs=1)

    precision = json.loads((directory / "run" / "history.json").read_text())["precision"]
    assert precision == resolve_precision("auto")
    assert [record.told for record in caplog.records if hasattr(record, "told")] == [f"trains in {precision}"]


def test_every_student_follows_the_same_recipe(
    train: Callable[..., pathlib.Path], prediction_files: list[str]
) -> None:
    """A distillation that weighs only the labels is training from scratch; and the recipe counts."""
    recipe = {"optimizer": "sgd", "schedule": "one_cycle", "clip_norm": 1.0, "ema_decay": 0.9, "epochs": 2}
    objective = kd(weight=1.0)

    scratch = train(**recipe)
    distilled = train(objective=objective, prediction_files=prediction_files, **recipe)

    for first, second in zip(weights_of(scratch), weights_of(distilled), strict=True):
        np.testing.assert_array_equal(first, second)
    rates = curve_of(distilled, "learning_rate")
    assert rates == curve_of(scratch, "learning_rate")
    # 19 steps an epoch; the 11th has the full rate, the last one 1/27 of it.
    assert rates == pytest.approx([0.01 * 20 / 27, 0.01 / 27])


@pytest.mark.parametrize(
    ("image_shape", "batch_size", "steps"),
    [((8, 8, 1), 32, 64), ((28, 28, 1), 32, 64), ((112, 112, 3), 32, 1), ((64, 64, 3), 32, 5)],
)
def test_steps_per_execution_shrink_as_images_grow(
    image_shape: tuple[int, int, int], batch_size: int, steps: int
) -> None:
    assert choose_steps_per_execution(image_shape=image_shape, batch_size=batch_size) == steps
