import pathlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluator.measure.outcomes import Outcomes, to_table


def write(directory: pathlib.Path, name: str, labels: list[int]) -> None:
    """Writes a file of a pass; a model names class 1 each time."""
    table = to_table(
        ids=np.array([str(label).encode() for label in labels], object),
        labels=np.array(labels),
        features={},
        logits={"student": np.tile([0.0, 1.0, 0.0], (len(labels), 1))},
    )
    pq.write_table(table, directory / name)


def test_of_a_pass_that_was_begun_anew_each_example_counts_once(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "part-00000-of-00003.parquet", [0])
    write(tmp_path, "part-00001-of-00003.parquet", [1])
    with pytest.raises(FileNotFoundError, match="no whole outcomes"):
        Outcomes.read(tmp_path)

    write(tmp_path, "part-00000-of-00002.parquet", [0, 1])
    write(tmp_path, "part-00001-of-00002.parquet", [1, 2])
    for _ in range(2):
        outcomes = Outcomes.read(tmp_path)
        assert len(outcomes) == 4
        np.testing.assert_array_equal(outcomes.label_counts(3), [1, 2, 1])
        np.testing.assert_array_equal(outcomes.right("student"), [2, 2])
        write(tmp_path, "part-00002-of-00003.parquet", [1, 2])  # Now the other set is whole, too.
