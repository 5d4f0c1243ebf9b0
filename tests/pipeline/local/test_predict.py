import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from components.errors import InputError
from components.serving.versions import Origin, Versions
from components.stores.store import open_store
from pipeline.local.predict import predict, to_json, to_table


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SavedModel that takes the mean brightness of an image for the probability of `bright`."""
    import tensorflow as tf

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
        def images(self, image):
            def brightness(file):
                pixels = tf.io.decode_image(file, channels=1, expand_animations=False)
                return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

            bright = tf.map_fn(brightness, image, fn_output_signature=tf.float32)
            return {"probabilities": tf.stack([1 - bright, bright], axis=1)}

    directory = tmp_path_factory.mktemp("pushed") / "17"
    module = Brightness()
    tf.saved_model.save(module, str(directory), signatures={"images": module.images})
    classes = directory / "assets.extra" / "classes.json"
    classes.parent.mkdir()
    classes.write_text('["dark", "bright"]')
    return str(directory)


@pytest.fixture
def image(tmp_path: pathlib.Path) -> pathlib.Path:
    """An image of brightness 51 of 255, which is a fifth."""
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((3, 5), 51, np.uint8)).save(path)
    return path


def test_probabilities_carry_the_names_of_the_classes(model, image, tmp_path):
    white = tmp_path / "white.jpg"
    Image.fromarray(np.full((7, 2, 3), 255, np.uint8)).save(white)
    grey, bright = predict([image, white], model=model)
    assert (grey.image, grey.class_name) == (image, "dark")
    assert grey.probabilities == pytest.approx({"dark": 0.8, "bright": 0.2})
    assert (bright.image, bright.class_name) == (white, "bright")
    assert bright.probabilities == pytest.approx({"dark": 0, "bright": 1})


def test_directory_of_versions_stands_for_the_latest_number(model, image, tmp_path):
    for version in ("9", "10"):
        (tmp_path / "pushed" / version).mkdir(parents=True)
        (tmp_path / "pushed" / version / "saved_model.pb").touch()
    (tmp_path / "pushed" / "11").symlink_to(model)
    (tmp_path / "pushed" / "12-copying").mkdir()
    (tmp_path / "pushed" / "13").mkdir()
    (prediction,) = predict([image], model=str(tmp_path / "pushed"))
    assert prediction.class_name == "dark"


def test_table_ranks_the_classes(model, image):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(to_table(predict([image], model=model)))
    text = capture.get().replace("\N{NO-BREAK SPACE}", " ")
    assert text.splitlines()[-1].split() == [str(image), "dark", "dark", "80.0", "%,", "bright", "20.0", "%"]


def test_json_is_a_list_of_images(model, image):
    (row,) = json.loads(to_json(predict([image], model=model)))
    assert row["image"] == str(image)
    assert row["class"] == "dark"
    assert row["probabilities"] == pytest.approx({"dark": 0.8, "bright": 0.2})


@pytest.mark.parametrize("content", [b"", b"some text", b"\xff\xd8\xff\xe0 cut short", b"\x89PNG\r\n\x1a\n"])
def test_image_that_cannot_be_decoded_is_named(content, model, image, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jpg cannot be decoded"):
        predict([image, bad], model=model)


def test_missing_image_is_named_before_the_model_is_loaded(model, image, tmp_path):
    with pytest.raises(InputError, match=r"missing\.png cannot be read \(No such file"):
        predict([image, tmp_path / "missing.png"], model=model)


def test_what_is_no_model_is_refused(image, tmp_path):
    with pytest.raises(InputError, match="is no directory"):
        predict([image], model=str(tmp_path / "missing"))
    with pytest.raises(InputError, match="holds no SavedModel"):
        predict([image], model=str(tmp_path))
    (tmp_path / "saved_model.pb").write_text("half of it")
    with pytest.raises(InputError, match=r"has no class names in assets\.extra/classes\.json"):
        predict([image], model=str(tmp_path))
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "classes.json").write_text("[]")
    with pytest.raises(InputError, match="cannot be loaded"):
        predict([image], model=str(tmp_path))


def test_command_prints_json_and_nothing_else(model, image):
    command = [sys.executable, "-m", "pipeline", "predict", model, str(image), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout)[0]["class"] == "dark"
    assert finished.stderr == ""


def push(model, *, to):
    """Pushes a model as a run does, and returns its version."""
    return Versions(to).push(pathlib.Path(model), origin=Origin(reason="a test")).version


def test_a_version_in_an_object_store_is_copied_here(model, image, bucket):
    """Of several the one that ships, whatever the newest is."""
    version = push(model, to=bucket)
    open_store(bucket).write(f"{int(version) + 1}/saved_model.pb", b"")

    for place in (bucket, f"{bucket}/", f"{bucket}/{version}"):
        (prediction,) = predict([image], model=place)
        assert prediction.probabilities == pytest.approx({"dark": 0.8, "bright": 0.2})


def test_the_command_takes_a_uri(model, image, bucket, distill):
    push(model, to=bucket)
    finished = distill("predict", bucket, image, "--json")
    assert json.loads(finished.stdout)[0]["class"] == "dark"
    assert finished.stderr == ""


def test_what_is_wrong_with_an_object_store_is_one_sentence(model, image, bucket):
    with pytest.raises(InputError, match=f"^{bucket} holds no SavedModel, nor a version of one; expected"):
        predict([image], model=bucket)
    with pytest.raises(InputError, match=r"^'ftp://host/students' is in no store that is known; give"):
        predict([image], model="ftp://host/students")
    with pytest.raises(InputError, match=r"^s3://no-such-bucket/students cannot be used .* is there, and"):
        predict([image], model="s3://no-such-bucket/students")
    version = push(model, to=bucket)
    store = open_store(bucket)
    store.write(f"{version}/saved_model.pb", b"half of it")
    with pytest.raises(InputError, match=f"^The SavedModel in {bucket}/{version} cannot be loaded; is it"):
        predict([image], model=bucket)
    root, _, _ = bucket.rpartition("/")
    open_store(root).write("saved_model.pb", b"")
    with pytest.raises(InputError, match=f"^{root} is a whole bucket; expected a pushed model in"):
        predict([image], model=root)
