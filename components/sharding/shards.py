"""Shards, each by itself: what becomes of one depends on no other, nor on which worker does it or when.

For each file of examples another is written, of the same records in the same order. So the bytes are the same
in one process, in several, and on a cluster; and what a worker has not finished, another does from the start.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import apache_beam as beam
import tensorflow as tf
from apache_beam.utils.shared import Shared

from components.reading import untuned
from components.sharding.progress import progress_told
from components.storage.copies import remove_partial, replaced, temporary_directory
from components.storage.files import is_file, place_of, read_bytes, write_text
from components.storage.uri import as_path, is_remote, name_of

_COUNTING_BATCH = 1024

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A file that is read, and the TFRecord file that is made of it; each a path or a URI."""

    source: str
    target: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """What was made of a shard: the file, the number of its records, and its length in bytes."""

    target: str
    num_records: int
    num_bytes: int


class Writer(Protocol):
    """Makes one file of another, such that the same file gives the same bytes."""

    def write(self, source: str, target: str) -> int:
        """Writes a TFRecord file, and returns the number of its records.

        Args:
          source: A path on this machine.
          target: Likewise.
        """


def write_shards(
    shards: Sequence[Shard],
    *,
    open_writer: Callable[[], Writer],
    make_pipeline: Callable[[], beam.Pipeline],
    report: str,
) -> list[Written]:
    """Writes each shard that is not whole yet, wherever Beam has it done.

    A file appears under its name when it is whole, and nothing else is left beside it. In a process there is
    one writer, and it writes one shard at a time: TensorFlow spreads that over the processors by itself.

    Args:
      shards: Any number.
      open_writer: Makes the writer of a process; it can be pickled.
      make_pipeline: Makes a pipeline with the options of the run.
      report: A path or URI for what the workers say, which they can reach.

    Returns:
      What was written, in the order of the shards.
    """
    with progress_told([shard.target for shard in shards]), make_pipeline() as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(shards)  # With more than one, Beam spreads them over its workers.
            | "Write" >> beam.ParDo(_Write(open_writer))
            | "Gather" >> beam.combiners.ToList()
            | "Report" >> beam.Map(_write_report, path=report)
        )
    remove_partial(shard.target for shard in shards)
    Shared().acquire(_Nothing)  # Beam keeps what was shared last, here a writer that has done its work.
    by_target = {each["target"]: Written(**each) for each in json.loads(read_bytes(report))}
    return [by_target[shard.target] for shard in shards]


class _Nothing:
    """Takes the place of what was shared."""


class _Write(beam.DoFn):
    """Writes shards, and yields what was written."""

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self._open_writer = open_writer
        self._shared = Shared()

    def setup(self) -> None:
        """Takes the writer of this process."""
        self._writer = self._shared.acquire(lambda: _OneAtATime(self._open_writer))

    def process(self, shard: Shard) -> Iterator[Written]:
        """Writes a shard, unless it is whole already."""
        yield _find(shard) or self._writer.write(shard)


class _OneAtATime:
    """The writer that the threads of a process share, opened when there is something to write."""

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self._open = functools.cache(open_writer)
        self._lock = threading.Lock()

    def write(self, shard: Shard) -> Written:
        """Writes a shard, whole or not at all."""
        with self._lock, _at_hand(shard.source) as source, replaced(shard.target) as target:
            num_records = self._open().write(str(source), str(target))
            num_bytes = target.stat().st_size
        logger.info("wrote %s", shard.target)
        return Written(target=shard.target, num_records=num_records, num_bytes=num_bytes)


def _find(shard: Shard) -> Written | None:
    """Returns what was made of a shard before; None if that is not there, or damaged."""
    if not is_file(shard.target):
        return None
    try:
        with _at_hand(shard.target) as target:
            num_records = _count_records(target)
            return Written(target=shard.target, num_records=num_records, num_bytes=target.stat().st_size)
    except tf.errors.DataLossError:
        logger.warning("%s is damaged, and is written again", shard.target)
        return None


def _count_records(path: pathlib.Path) -> int:
    """Counts the records of a TFRecord file, each of which is compared with its checksum."""
    batches = tf.data.TFRecordDataset(str(path)).batch(_COUNTING_BATCH)
    return sum(len(batch) for batch in batches.with_options(untuned()))


@contextlib.contextmanager
def _at_hand(uri: str) -> Iterator[pathlib.Path]:
    """Yields where on this machine a file lies: itself, or a copy that is there for as long as this lasts."""
    if not is_remote(uri):
        yield as_path(uri)
        return
    with temporary_directory() as directory:
        copy = directory / name_of(uri)
        place_of(uri).download(uri, copy)
        yield copy


def _write_report(written: list[Written], *, path: str) -> None:
    write_text(path, json.dumps([dataclasses.asdict(each) for each in written]))
