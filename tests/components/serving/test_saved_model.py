import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.serving.export import export_model
from components.serving.forms import open_servable
from components.serving.network import describe_network
from components.serving.saved_model import SavedModel

layers = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
IMAGES = [image.tobytes() for image in PIXELS]


@pytest.fixture
def export(tmp_path, transform_graph):
    """Exports a model of images of 8x8 pixels and two classes; returns the directory of its SavedModel."""

    def run(*parts, name="serving"):
        model = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.Flatten(), layers.Dense(2)])
        export_model(
            model,
            class_names=("ant", "bee"),
            image_shape=(8, 8, 1),
            transform_graph=transform_graph,
            keras_file=str(tmp_path / name / "model.keras"),
            serving_dir=str(tmp_path / name / "saved"),
        )
        return tmp_path / name / "saved", model

    return run


def test_a_saved_model_predicts_as_the_model_that_was_exported(export):
    directory, model = export(layers.Conv2D(3, 3, activation="relu"))
    servable = open_servable(directory)
    assert isinstance(servable, SavedModel)
    np.testing.assert_allclose(servable.predict(IMAGES), model(PIXELS / 255, training=False), atol=1e-5)
    assert servable.class_names == ("ant", "bee")


@pytest.mark.parametrize("signature", ["transformed", "images", "serving_default"])
def test_a_server_that_knows_the_graph_alone_restores_the_weights(export, signature):
    # As TensorFlow Serving does, which knows neither Python nor Keras.
    directory, model = export(layers.BatchNormalization(), layers.Dropout(0.5))
    given = {
        "transformed": IMAGES,
        "images": [tf.io.encode_png(image).numpy() for image in PIXELS],
    }
    given["serving_default"] = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
            )
        ).SerializeToString()
        for image in given["images"]
    ]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        served = tf.compat.v1.saved_model.load(session, ["serve"], str(directory)).signature_def[signature]
        (taken,) = served.inputs.values()
        logits = session.run(served.outputs["logits"].name, {taken.name: given[signature]})
    np.testing.assert_allclose(logits, model(PIXELS / 255, training=False), atol=1e-5)


def test_parameters_of_an_exported_model_are_those_of_its_layers(export):
    directory, model = export(layers.BatchNormalization(), layers.Dropout(0.5))
    assert open_servable(directory).parameters == 4 + 64 * 2 + 2 == model.count_params()


def test_multiply_adds_are_known_with_the_model_that_it_was_made_from(export):
    directory, _ = export()
    assert open_servable(directory).multiply_adds is None
    network = describe_network(directory.parent / "model.keras")
    servable = open_servable(directory, network=network)
    assert (servable.multiply_adds, servable.parameters) == (64 * 2, 64 * 2 + 2)


def test_size_is_that_of_all_files(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"x" * 1000)
    (tmp_path / "variables" / "data").write_bytes(b"x" * 234)
    assert open_servable(tmp_path).size_bytes == 1234
    # No model is larger for what is known of its training images.
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "profile.json").write_text("{}")
    (tmp_path / "assets.extra" / "data_identity.json").write_text("{}")
    assert open_servable(tmp_path).size_bytes == 1234


def test_architectures_are_equal_where_the_weights_alone_differ(export):
    architectures = [
        open_servable(export(*parts, name=str(index))[0]).architecture
        for index, parts in enumerate(
            [
                (layers.Conv2D(3, 3),),
                (layers.Conv2D(3, 3, name="another"),),
                (layers.Conv2D(4, 3),),
                (layers.Conv2D(3, 3, activation="relu"),),
                (layers.Conv2D(3, 3, strides=2),),
            ]
        )
    ]
    assert architectures[0] == architectures[1]
    assert len(set(architectures)) == 4


def test_a_model_that_was_loaded_goes_to_another_process_and_loads_there_again(export):
    servable = open_servable(export()[0])
    expected = servable.predict(IMAGES)
    copy = pickle.loads(pickle.dumps(servable))
    np.testing.assert_array_equal(copy.predict(IMAGES), expected)


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no served model; give the directory of one of: SavedModel"):
        open_servable(tmp_path)
