"""Stores predictions until the third shard is half written, and kills its process there.

    python killable.py ARGUMENTS

`ARGUMENTS` are those of `write_predictions` that JSON can hold.
"""

import json
import os
import pathlib
import signal
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components import tfx_patches
from components.teacher_predictions.predicting import write_predictions
from components.teacher_predictions.shard_writer import ShardWriter

_write = ShardWriter.write
_begun: list[str] = []


def _write_two(self: ShardWriter, source: str, target: str) -> int:
    _begun.append(source)
    if len(_begun) == 3:
        pathlib.Path(target).write_bytes(b"half a record")
        os.kill(os.getpid(), signal.SIGKILL)
    return _write(self, source, target)


if __name__ == "__main__":
    ShardWriter.write = _write_two  # type: ignore[method-assign]
    with tfx_patches.direct_runner():
        write_predictions(
            **json.loads(sys.argv[1]),
            views=None,
            top_k=None,
            make_pipeline=lambda: beam.Pipeline(options=PipelineOptions([])),
        )
