import logging
import pathlib
import queue
from collections.abc import Iterator

import pytest

from components.sharding.progress import progress_told


@pytest.fixture
def told() -> Iterator[queue.Queue]:
    """What is told, as it comes."""
    records: queue.Queue = queue.Queue()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.put((record.shards_written.number, record.shards_written.total))

    logger, handler = logging.getLogger("components.sharding.progress"), Handler()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def test_files_are_counted_when_they_are_whole(tmp_path: pathlib.Path, told: queue.Queue) -> None:
    files = [tmp_path / split / f"part-{number}" for split in ("train", "test") for number in range(2)]
    (tmp_path / "train").mkdir()
    files[0].touch()  # There before.

    with progress_told(list(map(str, files)), seconds=0.01):
        (tmp_path / "train/.part-1.partial").touch()
        (tmp_path / "train/other").touch()
        files[1].touch()
        assert told.get(timeout=60) == (2, 4)
        (tmp_path / "test").mkdir()
        files[2].touch()
        assert told.get(timeout=60) == (3, 4)

    files[3].touch()
    assert told.empty()


def test_in_a_bucket(bucket: str, told: queue.Queue) -> None:
    from components.storage import files

    with progress_told([f"{bucket}/train/part-0", f"{bucket}/train/part-1"], seconds=0.01):
        files.write_bytes(f"{bucket}/train/part-1", b"")
        assert told.get(timeout=60) == (1, 2)
