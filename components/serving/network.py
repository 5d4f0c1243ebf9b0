"""What a Keras model says of itself: its shapes, its layers, and the multiply-adds that it takes."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from components.models.building import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkLayer:
    """A layer of a model: its name, type, output shape (None is any size), and number of weights."""

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A Keras model, without its weights.

    Attributes:
      image_shape: `(height, width, channels)` of its images.
      num_outputs: Number of its logits.
      parameters: Number of its weights, trainable or not.
      multiply_adds: For one image; see `count_multiply_adds`. None where they cannot be counted.
      layers: In order.
    """

    image_shape: tuple[int, int, int]
    num_outputs: int
    parameters: int
    multiply_adds: int | None
    layers: tuple[NetworkLayer, ...]


def describe_network(keras_file: str | pathlib.Path) -> Network:
    """Describes the model in a `.keras` file."""
    model = load_model(keras_file)
    return Network(
        image_shape=model.input_shape[1:],
        num_outputs=model.output_shape[-1],
        parameters=model.count_params(),
        multiply_adds=count_keras_multiply_adds(model),
        layers=tuple(describe_layers(model)),
    )


def describe_layers(model: keras.Model) -> list[NetworkLayer]:
    """Describes the layers of a model, in order."""
    return [
        NetworkLayer(
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
    try:
        return sum(
            _PRODUCTS[operation.type](operation)
            for operation in all_operations(graph)
            if operation.type in _PRODUCTS
        )
    except _UnknownShapeError:
        return None


def all_operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yields the operations of a graph, and those of the functions that it calls, as often as it does."""
    for operation in graph.get_operations():
        yield operation
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            yield from all_operations(graph._get_function(operation.get_attr("f").name).graph)


class _UnknownShapeError(Exception):
    """The shape of a tensor is not fully known before the graph runs."""


def _shape(tensor: tf.Tensor) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise _UnknownShapeError(tensor.name)
    return tensor.shape.as_list()


def _size(tensor: tf.Tensor) -> int:
    return math.prod(_shape(tensor))


def _matrix_product(operation: tf.Operation) -> int:
    left = _shape(operation.inputs[0])
    is_transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    inner = left[-2] if is_transposed else left[-1]
    return _size(operation.outputs[0]) * inner


def _convolution(operation: tf.Operation) -> int:
    """Each output takes one product for each weight of its filter, `[..., in channels / groups, out]`."""
    *window, _ = _shape(operation.inputs[1])
    return _size(operation.outputs[0]) * math.prod(window)


def _depthwise_convolution(operation: tf.Operation) -> int:
    """The filter is `[height, width, channels, multiplier]`, of which an output sees one channel."""
    height, width, *_ = _shape(operation.inputs[1])
    return _size(operation.outputs[0]) * height * width


def _transposed_convolution(operation: tf.Operation) -> int:
    """Each input, `[batch, ..., channels]`, is spread by a filter `[..., out, in]`."""
    *window, _ = _shape(operation.inputs[1])
    return _size(operation.inputs[2]) * math.prod(window)


def _einsum(operation: tf.Operation) -> int:
    """As many products as there are combinations of all indices."""
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        shape = _shape(tensor)
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
