"""What fine-tuning does to layers: a new last one, which is trained alone first, and others that stay."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import keras

_NAME = "head"


def find_head(model: keras.Model) -> keras.layers.Dense | None:
    """Returns the Dense layer that makes the outputs, up to activations or a scale; None if another does.

    Args:
      model: A functional model of one output.
    """
    for operation in reversed(model.operations):
        if not _only_maps(operation):
            return operation if isinstance(operation, keras.layers.Dense) else None
    return None


def layers_behind(model: keras.Model, *, head: keras.layers.Dense) -> list[keras.Layer]:
    """Returns the activations and scales between the layer that `find_head` found and the outputs."""
    return list(itertools.takewhile(lambda operation: operation is not head, reversed(model.operations)))


def replace_head(model: keras.Model, *, head: keras.layers.Dense, num_classes: int) -> keras.Model:
    """Returns a model that shares all layers but the last, in whose place a new one makes logits.

    Args:
      model: A functional model of one input and one output.
      head: What `find_head` found; it goes with all that lies behind it.
      num_classes: Width of the new layer, which is called `head`.
    """
    gone = [head, *layers_behind(model, head=head)]
    taken = {layer.name for layer in model.layers if layer not in gone}
    names = itertools.chain([_NAME], (f"{_NAME}_{number}" for number in itertools.count(1)))
    name = next(name for name in names if name not in taken)
    new = keras.layers.Dense(num_classes, dtype=head.dtype_policy.name, name=name)
    # No layer is called anew: its `output` stays that of this model, for those who look for it.
    return keras.Model(model.inputs[0], new(head.input), name=model.name)


def freeze_batch_normalization(model: keras.Model) -> None:
    """Makes BatchNormalization keep its weights and statistics.

    Calling the model with `training=False` would not do it: a model that is called with `training=True`
    hands that on to all its layers.
    """
    for layer in leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def can_train_head(model: keras.Model) -> bool:
    """Tells whether `frozen_body` would leave anything to train."""
    head = find_head(model)
    return head is not None and head.trainable


@contextlib.contextmanager
def frozen_body(model: keras.Model) -> Iterator[None]:
    """Makes the layer that `find_head` finds the only one that is trained, for a while."""
    head = find_head(model)
    layers = [(layer, layer.trainable) for layer in leaves(model) if layer is not head]
    for layer, _ in layers:
        layer.trainable = False
    yield
    for layer, was_trainable in layers:
        layer.trainable = was_trainable


def leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers of a model, and in place of nested models theirs."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def _only_maps(operation: Any) -> bool:
    """Tells whether an operation is a layer that maps logits without weights of its own."""
    return isinstance(operation, keras.layers.Activation | keras.layers.Softmax | keras.layers.Rescaling)
