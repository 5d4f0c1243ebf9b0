"""What a model costs to keep and to run."""

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from components.report.summary import Layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """The size of a model.

    Attributes:
      parameters: Number of weights, trainable or not.
      size_bytes: Size of all files of the exported SavedModel, in bytes.
      multiply_adds: For one image; see `count_multiply_adds`. None where they cannot be counted.
    """

    parameters: int
    size_bytes: int
    multiply_adds: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model is, on one machine.

    Attributes:
      latency_median_ms: Time for one image, in milliseconds.
      latency_p95_ms: Its 95th percentile.
      throughput: Images per second, in batches.
    """

    latency_median_ms: float
    latency_p95_ms: float
    throughput: float


def directory_size(directory: pathlib.Path) -> int:
    """Returns the size of all files below a directory, in bytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def describe_layers(model: keras.Model) -> list[Layer]:
    """Describes the layers of a model, in order."""
    return [
        Layer(
            name=layer.name,
            type=type(layer).__name__,
            output_shape=_output_shape(layer),
            parameters=layer.count_params(),
        )
        for layer in model.layers
    ]


def _output_shape(layer: keras.Layer) -> tuple[int | None, ...]:
    """Returns the shape of a layer's output, of the first if there are several, or () if it never says."""
    output = getattr(layer, "output", None)
    if isinstance(output, list | tuple):
        output = output[0] if output else None
    return () if output is None else tuple(output.shape)


def count_keras_multiply_adds(model: keras.Model) -> int | None:
    """Counts the multiply-adds of a Keras model for one image; see `count_multiply_adds`."""
    specification = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    call = tf.function(functools.partial(model, training=False))
    return count_multiply_adds(call.get_concrete_function(specification).graph)


def count_multiply_adds(graph: tf.Graph) -> int | None:
    """Counts the multiply-adds of the matrix products and convolutions of a graph.

    These are what the literature counts; additions of biases, activations, pooling and normalisation are
    cheap beside them and left out. The shapes in the graph decide, so that layers of any kind are covered.

    Args:
      graph: A graph for a batch of one.

    Returns:
      The number; None if a shape is not known before the graph runs.
    """
    total = 0
    graphs = [graph, *(function.graph for function in _functions(graph))]
    for operation in (each for part in graphs for each in part.get_operations()):
        if operation.type in _PRODUCTS:
            try:
                total += _PRODUCTS[operation.type](operation)
            except ValueError:  # TensorFlow's word for a shape that is not fully known.
                return None
    return total


def _functions(graph: tf.Graph) -> list[Any]:
    """Returns the functions that a graph calls, as often as it calls them, and those that they call."""
    found = []
    for operation in graph.get_operations():
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            function = graph._get_function(operation.get_attr("f").name)
            found += [function, *_functions(function.graph)]
    return found


def _size(tensor: tf.Tensor) -> int:
    return math.prod(tensor.shape.as_list()) if tensor.shape.is_fully_defined() else _unknown(tensor)


def _unknown(tensor: tf.Tensor) -> int:
    raise ValueError(f"The shape of {tensor.name} is not known.")


def _matrix_product(operation: tf.Operation) -> int:
    left = operation.inputs[0].shape.as_list()
    is_transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    inner = left[-2] if is_transposed else left[-1]
    _size(operation.inputs[0])
    return _size(operation.outputs[0]) * inner


def _convolution(operation: tf.Operation) -> int:
    """Each output takes one product for each weight of its filter, `[..., in channels / groups, out]`."""
    *window, _ = operation.inputs[1].shape.as_list()
    return _size(operation.outputs[0]) * math.prod(window)


def _depthwise_convolution(operation: tf.Operation) -> int:
    """The filter is `[height, width, channels, multiplier]`, of which an output sees one channel."""
    height, width, *_ = operation.inputs[1].shape.as_list()
    return _size(operation.outputs[0]) * height * width


def _transposed_convolution(operation: tf.Operation) -> int:
    """Each input, `[batch, ..., channels]`, is spread by a filter `[..., out, in]`."""
    *window, _ = operation.inputs[1].shape.as_list()
    return _size(operation.inputs[2]) * math.prod(window)


def _einsum(operation: tf.Operation) -> int:
    """As many products as there are combinations of all indices."""
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        _size(tensor)
        shape = tensor.shape.as_list()
        before, ellipsis, after = term.partition("...")
        covered = len(shape) - len(before) - len(after) if ellipsis else 0
        indices = [*before, *(f"...{-axis}" for axis in range(covered, 0, -1)), *after]
        sizes |= dict(zip(indices, shape, strict=True))
    return math.prod(sizes.values())


_PRODUCTS = {
    "MatMul": _matrix_product,
    "BatchMatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "Einsum": _einsum,
}


@contextlib.contextmanager
def measuring_speed(
    models: Mapping[str, str], *, image_bytes: int, seconds: float = 0.4
) -> Iterator[Callable[[], dict[str, Speed]]]:
    """Measures how fast SavedModels are, on the CPU, in a process of their own, one model after the other.

    That process starts and loads the models while this one goes on with other work, and holds them all.

    Args:
      models: Directory of each SavedModel, by name.
      image_bytes: Size of an image as the signature `transformed` takes it.
      seconds: How long each of the two measurements of a model goes on, once it is warm.

    Yields:
      A function that has the models measured, to be called once and when nothing else runs, and returns the
      speed of each.
    """
    request = json.dumps({"models": dict(models), "image_bytes": image_bytes, "seconds": seconds})
    root = str(pathlib.Path(__file__).parents[3])
    imports = "from components.evaluator.measure import speed"
    start = f"import sys; sys.path.insert(0, {root!r}); {imports}; speed.main()"
    with subprocess.Popen(
        [sys.executable, "-c", start, request], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield functools.partial(_measure_speed, process)
        finally:
            process.kill()


def _measure_speed(process: subprocess.Popen[str]) -> dict[str, Speed]:
    output, _ = process.communicate("now\n")
    if process.returncode:
        raise RuntimeError(f"Measuring the speed failed with code {process.returncode}; see above.")
    return {name: Speed(**measured) for name, measured in json.loads(output.splitlines()[-1]).items()}


def count_saved_parameters(serving_dir: str) -> int:
    """Counts the weights of a SavedModel that the pipeline has exported, by its checkpoint.

    Args:
      serving_dir: Directory of the SavedModel.

    Returns:
      The number of weights, trainable or not. The state of random generators is none.
    """
    variables = tf.train.list_variables(f"{serving_dir}/variables/variables")
    return sum(
        math.prod(shape)
        for name, shape in variables
        if name.startswith("_model/") and "seed_generator" not in name
    )
