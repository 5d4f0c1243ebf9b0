import functools
import pathlib
from collections.abc import Sequence

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from components import tfx_patches
from components.sharding.shards import Shard, Written, write_shards
from components.storage.files import read_bytes, write_bytes

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


class Doubler:
    """Writes each record twice, and leaves a line in a log whenever it is made or at work."""

    def __init__(self, log: pathlib.Path) -> None:
        self._log = log
        self._note("opened")

    def write(self, source: str, target: str) -> int:
        self._note(pathlib.Path(source).name)
        with tf.io.TFRecordWriter(target) as writer:
            for record in tf.data.TFRecordDataset(source).as_numpy_iterator():
                if record == b"broken":
                    raise ValueError("a broken record")
                writer.write(record * 2)
        return len(list(tf.data.TFRecordDataset(target)))

    def _note(self, what: str) -> None:
        with self._log.open("a") as file:
            file.write(f"{what}\n")


class Doubled:
    """Files of records, and what becomes of them."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.log = directory / "log"

    def add(self, name: str, records: Sequence[bytes]) -> Shard:
        (self.directory / "in").mkdir(exist_ok=True)
        source = self.directory / "in" / name
        with tf.io.TFRecordWriter(str(source)) as writer:
            for record in records:
                writer.write(record)
        return Shard(source=str(source), target=str(self.directory / "out" / name))

    def write(self, shards: Sequence[Shard], *, beam_args: Sequence[str] = ()) -> list[Written]:
        self.log.write_text("")
        with tfx_patches.direct_runner():
            return write_shards(
                shards,
                open_writer=functools.partial(Doubler, self.log),
                make_pipeline=lambda: beam.Pipeline(options=PipelineOptions(list(beam_args))),
                report=str(self.directory / "report.json"),
            )

    @property
    def told(self) -> list[str]:
        return sorted(self.log.read_text().split())


@pytest.fixture
def doubled(tmp_path: pathlib.Path) -> Doubled:
    return Doubled(tmp_path)


def records_of(path: str) -> list[bytes]:
    return list(tf.data.TFRecordDataset(path).as_numpy_iterator())


def test_each_shard_becomes_one_file_and_a_process_opens_one_writer(doubled: Doubled) -> None:
    shards = [doubled.add("b", [b"1", b"22"]), doubled.add("a", []), doubled.add("c", [b"3"])]

    written = doubled.write(shards)

    assert [records_of(shard.target) for shard in shards] == [[b"11", b"2222"], [], [b"33"]]
    # Each record has 16 bytes around it.
    assert [(each.target, each.num_records, each.num_bytes) for each in written] == [
        (shards[0].target, 2, 2 + 4 + 32),
        (shards[1].target, 0, 0),
        (shards[2].target, 1, 2 + 16),
    ]
    assert doubled.told == ["a", "b", "c", "opened"]


def test_what_a_killed_writer_has_begun_is_not_left_beside_the_shards(doubled: Doubled) -> None:
    """Beam reads hidden files as all others."""
    shards = [doubled.add("a", [b"1"]), doubled.add("b", [b"2"])]
    begun = doubled.directory / "out" / ".a.0123abc.partial"
    begun.parent.mkdir()
    begun.write_bytes(b"beg")

    doubled.write(shards)

    assert sorted(path.name for path in begun.parent.iterdir()) == ["a", "b"]


def test_several_processes_write_the_same_and_nothing_else(doubled: Doubled) -> None:
    shards = [doubled.add(str(number), [bytes([number])] * number) for number in range(8)]
    alone = doubled.write(shards)
    contents = {shard.target: read_bytes(shard.target) for shard in shards}
    for shard in shards:
        pathlib.Path(shard.target).unlink()

    together = doubled.write(shards, beam_args=TWO_PROCESSES)

    assert together == alone
    assert {str(each): each.read_bytes() for each in (doubled.directory / "out").iterdir()} == contents
    assert doubled.told == [*"01234567", "opened", "opened"]


def test_what_is_whole_is_not_written_again_but_what_is_damaged_is(doubled: Doubled) -> None:
    shards = [doubled.add(name, [name.encode()] * 3) for name in "abc"]
    first = doubled.write(shards)
    whole = {name: (doubled.directory / "out" / name).stat() for name in "ab"}
    damaged = doubled.directory / "out" / "c"
    damaged.write_bytes(damaged.read_bytes()[:-1])

    assert doubled.write(shards) == first

    assert doubled.told == ["c", "opened"]
    for name, before in whole.items():
        after = (doubled.directory / "out" / name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_fails_leaves_no_file_and_the_next_attempt_goes_on(doubled: Doubled) -> None:
    shards = [doubled.add("a", [b"a"]), doubled.add("b", [b"b", b"broken"])]
    with pytest.raises(ValueError, match="a broken record"):
        doubled.write(shards)
    assert [each.name for each in (doubled.directory / "out").iterdir()] == ["a"]

    doubled.add("b", [b"b"])
    assert [each.num_records for each in doubled.write(shards)] == [1, 1]

    assert doubled.told == ["b", "opened"]


def test_shards_in_a_bucket_are_read_and_written_there(bucket: str, doubled: Doubled) -> None:
    local = doubled.add("a", [b"1", b"22"])
    shard = Shard(source=f"{bucket}/in/a", target=f"{bucket}/out/a")
    write_bytes(shard.source, read_bytes(local.source))
    doubled.write([local])

    (written,) = doubled.write([shard])

    assert (written.num_records, written.num_bytes) == (2, 2 + 4 + 32)
    assert read_bytes(shard.target) == read_bytes(local.target)
    assert doubled.write([shard]) == [written]
    assert doubled.told == []
