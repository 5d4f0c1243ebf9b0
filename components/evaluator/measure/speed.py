"""How fast models are, measured in a process that does nothing else; this module is also its program."""

import contextlib
import dataclasses
import functools
import json
import os
import pickle
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TypeVar, cast

import numpy as np

from components.serving.servable import Servable

_BATCH_SIZE = 64
_WARM_UP_CALLS = 10
_TURNS = 5
_LEAST_CALLS_A_TURN = 4

_Key = TypeVar("_Key")


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


@contextlib.contextmanager
def measuring_speed(
    models: Mapping[str, Servable], *, image_bytes: int, seconds: float = 0.4
) -> Iterator[Callable[[], dict[str, Speed]]]:
    """Measures how fast models are, on the CPU, in a process of their own.

    That process starts and loads the models while this one goes on with other work, and holds them all.

    Args:
      models: The models by name.
      image_bytes: Size of a packed image.
      seconds: How long each of the two measurements of a model goes on, once it is warm.

    Yields:
      A function that has the models measured, to be called once and when nothing else runs, and returns the
      speed of each.
    """
    here = {name: model.on_this_machine() for name, model in models.items()}
    request = pickle.dumps({"models": here, "image_bytes": image_bytes, "seconds": seconds})
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": "-1"}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],  # -P: nothing in the working directory goes before this code.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | environment,
    ) as process:
        try:
            pipe = cast("IO[bytes]", process.stdin)
            pipe.write(request)
            pipe.flush()
            yield functools.partial(_finish, process)
        finally:
            process.kill()


def _finish(process: "subprocess.Popen[bytes]") -> dict[str, Speed]:
    output, _ = process.communicate(b"now\n")
    if process.returncode:
        raise RuntimeError(f"Measuring the speed failed with code {process.returncode}; see above.")
    return {name: Speed(**measured) for name, measured in json.loads(output.splitlines()[-1]).items()}


def main() -> None:
    """Measures what the standard input asks for, and writes the result; see `measuring_speed`."""
    code = 1
    try:
        _serve(**pickle.load(sys.stdin.buffer))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)  # TensorFlow's threads can hang at shutdown.


def _serve(*, models: Mapping[str, Servable], image_bytes: int, seconds: float) -> None:
    for model in models.values():
        model.predict([bytes(image_bytes)])  # Loads it.
    if not sys.stdin.buffer.readline():  # The line comes when the other process has done its work.
        raise EOFError("The process that wanted the speed has ended.")
    speeds = measure_speed(models, image_bytes=image_bytes, seconds=seconds)
    print(json.dumps({name: dataclasses.asdict(speed) for name, speed in speeds.items()}), flush=True)


def measure_speed(models: Mapping[str, Servable], *, image_bytes: int, seconds: float) -> dict[str, Speed]:
    """Measures how fast models are, in this process.

    Models of one form and architecture share one measurement: they differ in their weights, not in their
    speed.

    Args:
      models: The models by name.
      image_bytes: Size of a packed image.
      seconds: How long each of the two measurements of a model goes on, once it is warm.

    Returns:
      The speed of each model.
    """
    kinds = {name: (type(model), model.architecture) for name, model in models.items()}
    measured = {kind: models[name] for name, kind in kinds.items()}
    random = np.random.default_rng(0)
    images = [random.bytes(image_bytes) for _ in range(_BATCH_SIZE)]
    single = _time_in_turns(measured, images[:1], seconds=seconds)
    many = _time_in_turns(measured, images, seconds=seconds)
    return {
        name: Speed(
            latency_median_ms=float(np.median(single[kind])) * 1e3,
            latency_p95_ms=float(np.percentile(single[kind], 95)) * 1e3,
            throughput=_BATCH_SIZE / float(np.median(many[kind])),
        )
        for name, kind in kinds.items()
    }


def _time_in_turns(
    models: Mapping[_Key, Servable], images: Sequence[bytes], *, seconds: float
) -> dict[_Key, list[float]]:
    """Times the calls of several models, in seconds, from the images in memory to the logits in memory.

    The models take turns: what slows the machine down for a while slows down all of them.
    """
    for model in models.values():
        for _ in range(_WARM_UP_CALLS):
            model.predict(images)
    times: dict[_Key, list[float]] = {key: [] for key in models}
    for _ in range(_TURNS):
        for key, model in models.items():
            model.predict(images)  # Brings its weights back into the processor's caches.
            times[key] += _time(model, images, seconds=seconds / _TURNS)
    return times


def _time(model: Servable, images: Sequence[bytes], *, seconds: float) -> list[float]:
    times: list[float] = []
    while len(times) < _LEAST_CALLS_A_TURN or sum(times) < seconds:
        start = time.perf_counter()
        model.predict(images)
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
