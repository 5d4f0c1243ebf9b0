import math

import pytest

from components.files import read_json, replacing, write_json, write_text


def test_json_survives(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, None, 0.1]})
    assert read_json(tmp_path / "a.json") == {"größe": [1, None, 0.1]}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "page", "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "page", "after \ud800")
    assert (tmp_path / "page").read_text() == "before"


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": math.nan})
    assert not (tmp_path / "a.json").exists()


def test_two_may_write_one_file_at_the_same_time(tmp_path):
    file = tmp_path / "shard"
    with replacing(file, alone=False) as first:
        first.write_bytes(b"the first")
        with replacing(file, alone=False) as second:
            second.write_bytes(b"the second, which is longer")
        assert file.read_bytes() == b"the second, which is longer"
    assert file.read_bytes() == b"the first"
    assert list(tmp_path.iterdir()) == [file]
