import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.errors import InputError
from components.pretrained.model_files import fingerprint_onnx
from components.pretrained.onnx_model import OnnxModel

IMAGES = np.random.default_rng(1).random((5, 2, 4, 3), np.float32)
KERNEL = np.random.default_rng(2).normal(size=(24, 2)).astype(np.float32)
BIAS = np.array([0.5, -1.0], np.float32)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def write(tmp_path):
    """Writes a model that flattens its images, multiplies them with a kernel and adds a bias."""

    def write(shape, *, kernel=KERNEL, kind=TensorProto.FLOAT, softmax=False, outputs=("answers",), inputs=1):
        nodes = [
            helper.make_node("Flatten", ["input_0"], ["flat"]),
            helper.make_node("Gemm", ["flat", "kernel", "bias"], ["product"]),
            helper.make_node("Softmax" if softmax else "Identity", ["product"], [outputs[0]]),
            *(helper.make_node("Identity", ["flat"], [name]) for name in outputs[1:]),
        ]
        given = [helper.make_tensor_value_info(f"input_{number}", kind, shape) for number in range(inputs)]
        returned = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
        element = helper.tensor_dtype_to_np_dtype(kind)
        weights = [
            numpy_helper.from_array(array.astype(element), name)
            for name, array in (("kernel", kernel), ("bias", BIAS[: kernel.shape[1]]))
        ]
        graph = helper.make_graph(nodes, "teacher", given, returned, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.save(model, tmp_path / "teacher.onnx")
        return str(tmp_path / "teacher.onnx")

    return write


def load(path, **changes):
    settings = {"outputs": "logits", "pixels": "zero_to_one", "image_shape": (2, 4, 3), "num_classes": 2}
    return OnnxModel(path, **settings | changes)


def expected(images, *, channels_first):
    ordered = images.transpose(0, 3, 1, 2) if channels_first else images
    return ordered.reshape(len(images), -1) @ KERNEL + BIAS


@pytest.mark.parametrize("batch", ["batch", 1, 2, 5, 8])
@pytest.mark.parametrize("channels_first", [True, False])
def test_channels_and_batches_are_those_that_the_model_takes(write, batch, channels_first):
    model = load(write([batch, 3, 2, 4] if channels_first else [batch, 2, 4, 3]))

    np.testing.assert_allclose(
        model.predict(IMAGES), expected(IMAGES, channels_first=channels_first), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("pixels", "seen"),
    [
        ("minus_one_to_one", 2 * IMAGES - 1),
        ("zero_to_255", 255 * IMAGES),
        ("imagenet", (IMAGES - MEAN) / DEVIATION),
    ],
)
def test_pixels_are_those_that_the_model_was_trained_on(write, pixels, seen):
    model = load(write(["n", 3, 2, 4]), pixels=pixels)

    np.testing.assert_allclose(model.predict(IMAGES), expected(seen, channels_first=True), rtol=1e-4)


def test_grey_images_are_repeated_and_images_of_another_size_resized(write):
    grey = np.full((1, 8, 8, 1), 0.5, np.float32)

    model = load(write([None, 3, 2, 4]), image_shape=(8, 8, 1))

    np.testing.assert_allclose(model.predict(grey), [KERNEL.sum(axis=0) / 2 + BIAS], rtol=1e-5)


def test_probabilities_become_logits_by_their_logarithm(write):
    path = write(["n", 3, 2, 4], softmax=True)

    logits = load(path, outputs="probabilities").predict(IMAGES)

    np.testing.assert_allclose(np.exp(logits).sum(axis=-1), 1, rtol=1e-5)
    product = expected(IMAGES, channels_first=True)
    np.testing.assert_allclose(np.diff(logits), np.diff(product), rtol=1e-4)
    with pytest.raises(
        InputError, match=r"returns probabilities, but logits were expected; set teacher\.outputs"
    ):
        load(path)


def test_of_several_outputs_the_one_that_is_called_so_is_taken(write):
    path = write(["n", 3, 2, 4], outputs=("logits", "features"))
    np.testing.assert_allclose(
        load(path).predict(IMAGES), expected(IMAGES, channels_first=True), rtol=1e-5, atol=1e-6
    )

    with pytest.raises(InputError, match=r"has the outputs logits, features; .* called 'probabilities'"):
        load(path, outputs="probabilities")


@pytest.mark.parametrize(
    ("model", "changes", "problem"),
    [
        ({"shape": ["n", 3, 2, 4], "inputs": 2}, {}, "takes 'input_0' of .*, 'input_1' of .*, not one batch"),
        ({"shape": ["n", 2, 6, 2]}, {}, r"takes 'input_0' of tensor\(float\) .*1 or 3 channels"),
        ({"shape": ["n", 24]}, {}, "not one batch of float32 images"),
        ({"shape": ["n", 3, 2, 4], "kind": TensorProto.DOUBLE}, {}, r"of tensor\(double\)"),
        ({"shape": ["n", 3, 2, 4]}, {"num_classes": 3}, r"outputs of shape \(2,\) .* the data has 3 classes"),
        ({"shape": ["n", 3, 2, 4]}, {"outputs": "probabilities"}, "does not return probabilities"),
        ({"shape": ["n", 3, "h", "w"]}, {"image_shape": (7, 7, 3)}, "cannot be run on images of 7x7x3"),
        ({"shape": ["n", 1, 4, 6]}, {"pixels": "imagenet"}, "one channel, but .*imagenet is of red"),
        ({"shape": ["n", 3, 2, 4], "kernel": np.full((24, 2), np.inf)}, {}, "not finite"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_is_refused(write, model, changes, problem):
    path = write(**model)

    with pytest.raises(InputError, match=problem):
        load(path, **changes).predict(IMAGES)


def test_a_file_that_is_no_model_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no model")

    with pytest.raises(InputError, match=r"x\.onnx cannot be loaded by ONNX Runtime"):
        load(str(tmp_path / "x.onnx"))
    with pytest.raises(InputError, match=r"y\.onnx does not exist; give a \.onnx file"):
        load(str(tmp_path / "y.onnx"))


def test_without_onnx_runtime_its_absence_is_said(write, monkeypatch):
    path = write(["n", 3, 2, 4])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(InputError, match="ONNX Runtime, which is not installed: pip install onnxruntime"):
        load(path)


def test_weights_beside_the_model_belong_to_its_fingerprint(write, tmp_path):
    path = write(["n", 3, 2, 4])
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "teacher.onnx.logs").mkdir()
    before = fingerprint_onnx(path)
    (tmp_path / "teacher.onnx.txt").write_bytes(b"x")
    assert fingerprint_onnx(path) == before

    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)

    assert fingerprint_onnx(path) != before


def test_an_empty_file_has_a_fingerprint_and_is_refused_when_it_is_loaded(tmp_path):
    (tmp_path / "empty.onnx").touch()

    # Of the SHA-256 of nothing, as `sha256sum` has both.
    assert fingerprint_onnx(str(tmp_path / "empty.onnx")) == (
        "cd372fb85148700fa88095e3492d3f9f5beb43e555e5ff26d95f5a6adc36f8e6"
    )
    with pytest.raises(InputError, match=r"empty\.onnx cannot be loaded by ONNX Runtime"):
        load(str(tmp_path / "empty.onnx"))
