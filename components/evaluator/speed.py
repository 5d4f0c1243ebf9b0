"""Measures the speed of SavedModels; the program of a process that does nothing else."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_BATCH_SIZE = 64
_WARM_UP_CALLS = 10
_LEAST_CALLS = 20


def main() -> None:
    """Reads what to measure from standard input, and writes the result to it; see `cost.measure_speed`."""
    request = json.load(sys.stdin)
    tf.config.set_visible_devices([], "GPU")
    result = {
        name: measure(path, image_bytes=request["image_bytes"], seconds=request["seconds"])
        for name, path in request["models"].items()
    }
    print(json.dumps(result), flush=True)
    os._exit(0)  # TensorFlow's threads can hang at shutdown.


def measure(path: str, *, image_bytes: int, seconds: float) -> dict[str, float]:
    """Measures one model.

    Args:
      path: Directory of the SavedModel.
      image_bytes: Size of an image.
      seconds: How long each of the two measurements goes on, once the model is warm.

    Returns:
      `latency_median_ms`, `latency_p95_ms` and `throughput`.
    """
    signature = tf.saved_model.load(path).signatures["transformed"]
    images = np.random.default_rng(0).integers(0, 256, (_BATCH_SIZE, image_bytes), np.uint8)
    batch = tf.constant([image.tobytes() for image in images])
    single = _time(signature, batch[:1], seconds=seconds)
    many = _time(signature, batch, seconds=seconds)
    return {
        "latency_median_ms": float(np.median(single)) * 1e3,
        "latency_p95_ms": float(np.percentile(single, 95)) * 1e3,
        "throughput": _BATCH_SIZE / float(np.median(many)),
    }


def _time(signature: Callable[..., dict[str, Any]], images: tf.Tensor, *, seconds: float) -> list[float]:
    """Returns the time of each call, in seconds, from the input in memory to the logits in memory."""
    for _ in range(_WARM_UP_CALLS):
        signature(image=images)["logits"].numpy()
    times: list[float] = []
    while len(times) < _LEAST_CALLS or sum(times) < seconds:
        start = time.perf_counter()
        signature(image=images)["logits"].numpy()
        times.append(time.perf_counter() - start)
    return times
