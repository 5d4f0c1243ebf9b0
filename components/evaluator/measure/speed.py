"""Measures the speed of SavedModels; the program of a process that does nothing else."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_BATCH_SIZE = 64
_WARM_UP_CALLS = 10
_LEAST_CALLS = 20

Signature = Callable[..., dict[str, Any]]


def main() -> None:
    """Measures what its argument says, and writes the result; see `cost.measuring_speed`."""
    code = 1
    try:
        _measure_all(json.loads(sys.argv[1]))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)  # TensorFlow's threads can hang at shutdown.


def _measure_all(request: dict[str, Any]) -> None:
    tf.config.set_visible_devices([], "GPU")
    models = {name: tf.saved_model.load(path) for name, path in request["models"].items()}
    if not sys.stdin.readline():  # The line comes when the other process has done its work.
        raise EOFError("The process that wanted the speed has ended.")
    result = {
        name: measure(
            model.signatures["transformed"], image_bytes=request["image_bytes"], seconds=request["seconds"]
        )
        for name, model in models.items()
    }
    print(json.dumps(result), flush=True)


def measure(signature: Signature, *, image_bytes: int, seconds: float) -> dict[str, float]:
    """Measures one model.

    Args:
      signature: The model's signature `transformed`.
      image_bytes: Size of an image.
      seconds: How long each of the two measurements goes on, once the model is warm.

    Returns:
      `latency_median_ms`, `latency_p95_ms` and `throughput`.
    """
    images = np.random.default_rng(0).integers(0, 256, (_BATCH_SIZE, image_bytes), np.uint8)
    batch = tf.constant([image.tobytes() for image in images])
    single = _time(signature, batch[:1], seconds=seconds)
    many = _time(signature, batch, seconds=seconds)
    return {
        "latency_median_ms": float(np.median(single)) * 1e3,
        "latency_p95_ms": float(np.percentile(single, 95)) * 1e3,
        "throughput": _BATCH_SIZE / float(np.median(many)),
    }


def _time(signature: Signature, images: tf.Tensor, *, seconds: float) -> list[float]:
    """Returns the time of each call, in seconds, from the input in memory to the logits in memory."""
    for _ in range(_WARM_UP_CALLS):
        signature(image=images)["logits"].numpy()
    times: list[float] = []
    while len(times) < _LEAST_CALLS or sum(times) < seconds:
        start = time.perf_counter()
        signature(image=images)["logits"].numpy()
        times.append(time.perf_counter() - start)
    return times
