"""What several test modules share."""

import pathlib
import signal
from collections.abc import Callable, Sequence

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
TFDS_DATA = REPOSITORY.parent / "shared" / "data" / "tfds"


def pytest_configure() -> None:
    """Undoes what a shell does to a program in its background, whose children would ignore Ctrl-C too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tfds_data() -> pathlib.Path:
    """The directory with real MNIST and cats_vs_dogs in TFDS's format."""
    if not TFDS_DATA.is_dir():
        pytest.skip(f"needs real images in TFDS's format in {TFDS_DATA}, which is no part of the project")
    return TFDS_DATA


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The graph that Transform makes for images of 8x8x1."""
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components.settings import ImageSettings
    from components.transform.preprocessing import preprocessing_fn

    directory = tmp_path_factory.mktemp("transform")
    specification = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "id": tf.io.FixedLenFeature([], tf.string),
    }
    example = {"image": tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy(), "label": 0, "id": b"0"}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(specification))
    settings = {"image": ImageSettings(height=8, width=8, channels=1).model_dump_json()}
    with tft_beam.Context(temp_dir=str(directory / "temporary")):
        analysis = tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, settings))
        _ = (([example], metadata) | analysis) | tft_beam.WriteTransformFn(str(directory / "graph"))
    return str(directory / "graph")


@pytest.fixture(scope="session")
def write_examples() -> Callable[..., str]:
    """A function that writes transformed examples to a file, as Transform does."""
    import tensorflow as tf

    def write(path: pathlib.Path, *, pixels: np.ndarray, labels: Sequence[int], ids: Sequence[str]) -> str:
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for image, label, example_id in zip(pixels, labels, ids, strict=True):
                example = tf.train.Example()
                example.features.feature["image"].bytes_list.value.append(image.astype(np.uint8).tobytes())
                example.features.feature["label"].int64_list.value.append(int(label))
                example.features.feature["id"].bytes_list.value.append(example_id.encode())
                writer.write(example.SerializeToString())
        return str(path)

    return write
