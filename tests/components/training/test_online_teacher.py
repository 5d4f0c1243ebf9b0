"""The features that a hint compares, and what cannot be compared."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.settings.training import TrainingJob
from components.training.inputs.batches import epoch_counter
from components.training.learner import Learner
from components.training.loop import Batches, fit
from components.training.online_teacher import Layers, online_with_features

IMAGES = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)


def network(*, filters: int, units: int, pool: int) -> keras.Model:
    keras.backend.clear_session()
    keras.utils.set_random_seed(filters)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name="maps"),
            keras.layers.AveragePooling2D(pool, name="pooled"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(units, activation="relu", name="vector"),
            keras.layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture
def teacher() -> keras.Model:
    return network(filters=6, units=12, pool=2)


@pytest.fixture
def student() -> keras.Model:
    return network(filters=2, units=12, pool=4)


def nested(inner: keras.Model) -> keras.Model:
    """A model whose layers lie inside another one, as a backbone's do."""
    inputs = keras.Input((8, 8, 1))
    backbone = keras.Model(inner.inputs[0], inner.get_layer("vector").output, name="backbone")
    features = backbone(keras.layers.Rescaling(2.0)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(features))


def test_features_of_equal_size_are_compared_as_they_are(teacher: keras.Model, student: keras.Model) -> None:
    ask, shown = online_with_features(
        teacher, student=student, layers=Layers(teacher="vector", student="vector")
    )

    said, done = ask(IMAGES), shown(IMAGES, training=False)

    np.testing.assert_allclose(said["teacher_logits"], teacher(IMAGES), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(done["logits"], student(IMAGES), rtol=1e-5, atol=1e-6)
    for model, features in ((teacher, said["teacher_features"]), (student, done["student_features"])):
        kernel = model.get_layer("logits").kernel.numpy()  # The bias is 0.
        np.testing.assert_allclose(features @ kernel, model(IMAGES), rtol=1e-4, atol=1e-5)
    assert len(shown.trainable_variables) == len(student.trainable_variables)


def test_feature_maps_of_other_width_and_size_are_projected_and_resized(
    teacher: keras.Model, student: keras.Model
) -> None:
    ask, shown = online_with_features(
        teacher, student=student, layers=Layers(teacher="pooled", student="pooled")
    )

    said, done = ask(IMAGES), shown(IMAGES)

    assert said["teacher_features"].shape == done["student_features"].shape == (64, 2, 2, 6)
    # Resizing smooths, and keeps the mean.
    maps = keras.Model(teacher.inputs[0], teacher.get_layer("pooled").output)(IMAGES)
    np.testing.assert_allclose(
        np.mean(said["teacher_features"], axis=(1, 2)), np.mean(maps, axis=(1, 2)), rtol=0.2, atol=0.02
    )
    # The projector is linear, from 2 channels to 6, and no part of the student.
    added = sum(v.shape.num_elements() for v in shown.trainable_variables) - student.count_params()
    assert added == 2 * 6 + 6


def test_a_layer_inside_a_nested_model_is_found_and_the_model_stays_what_it_was(
    teacher: keras.Model, student: keras.Model
) -> None:
    outer_teacher, outer_student = nested(teacher), nested(student)
    layers = Layers(teacher="backbone/maps", student="backbone/maps")

    ask, shown = online_with_features(outer_teacher, student=outer_student, layers=layers)

    said = ask(IMAGES)
    np.testing.assert_allclose(said["teacher_logits"], outer_teacher(IMAGES), rtol=1e-5, atol=1e-6)
    maps = keras.Model(teacher.inputs[0], teacher.get_layer("maps").output)(2 * IMAGES)
    np.testing.assert_allclose(said["teacher_features"], maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shown(IMAGES)["logits"], outer_student(IMAGES), rtol=1e-5, atol=1e-6)
    copy = keras.Model.from_config(outer_student.get_config())
    assert copy.count_params() == outer_student.count_params()


@pytest.mark.parametrize(
    ("teacher_layer", "student_layer", "message"),
    [
        (
            "vectr",
            "vector",
            "teacher_layer 'vectr' is no layer of the teacher; allowed: maps, pooled, flatten, ",
        ),
        (
            "vector",
            "conv9",
            "student_layer 'conv9' is no layer of the student; allowed: maps, pooled, flatten, ",
        ),
        (
            "maps",
            "vector",
            r"'vector' returns features of shape \(12,\), but the teacher_layer 'maps' of shape",
        ),
    ],
)
def test_a_hint_that_fits_nothing_is_refused(
    teacher: keras.Model, student: keras.Model, teacher_layer: str, student_layer: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        online_with_features(
            teacher, student=student, layers=Layers(teacher=teacher_layer, student=student_layer)
        )


class FeaturesAlone(keras.losses.Loss):
    """Only the features count, so that nothing else can bring them together."""

    def call(self, y_true, y_pred):
        difference = y_true["student_features"] - y_true["teacher_features"]
        return keras.ops.mean(difference**2, axis=-1) + 0 * y_pred[:, 0]


def test_training_on_a_hint_brings_the_features_together(
    teacher, student, tmp_path, make_job: Callable[..., TrainingJob]
) -> None:
    before = teacher.get_weights()
    ask, shown = online_with_features(
        teacher, student=student, layers=Layers(teacher="vector", student="vector")
    )
    data = tf.data.Dataset.from_tensor_slices((IMAGES, {"label": np.zeros(64, np.int64)})).batch(2)

    def distance() -> float:
        difference = ask(IMAGES)["teacher_features"] - shown(IMAGES)["student_features"]
        return float(np.mean(np.square(difference)))

    at_first = distance()
    fit(
        Learner(model=student, objective=FeaturesAlone(), teacher=ask, shown=shown),
        make_job(batch_size=2),
        batches=Batches(training=data, validation=data, epoch=epoch_counter()),
        run_dir=tmp_path,
    )

    assert distance() < at_first / 2
    for first, second in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
