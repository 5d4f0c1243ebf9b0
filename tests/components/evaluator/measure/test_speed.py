import itertools
import pathlib

import numpy as np
import pytest

from components.evaluator.measure.speed import measure_speed, measuring_speed
from components.serving.forms import open_servable
from components.serving.saved_model import SavedModel
from components.serving.servable import Servable


def open_model(folder):
    return open_servable(pathlib.Path(folder, "Format-Serving"))


def test_speed_is_measured_for_each_model(tmp_path, write_model, monkeypatch):
    """Whatever lies where the user works: a package of the same name as ours is not run."""
    foreign = tmp_path / "elsewhere" / "components"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(foreign.parent)
    models = {
        name: open_model(write_model(tmp_path / name, kernel=np.zeros((4, 3)), bias=np.zeros(3)))
        for name in ("one", "two")
    }
    before = _children()
    with measuring_speed(models, image_bytes=4, seconds=0.01) as measure_speed:
        speeds = measure_speed()
    assert _children() == before
    assert list(speeds) == ["one", "two"]
    for speed in speeds.values():
        assert 0 < speed.latency_median_ms <= speed.latency_p95_ms
        assert speed.throughput > 0


def test_a_model_whose_speed_cannot_be_measured_is_an_error(tmp_path):
    with (
        measuring_speed({"one": SavedModel(tmp_path / "missing")}, image_bytes=4) as measure_speed,
        pytest.raises(RuntimeError, match="Measuring the speed failed with code 1"),
    ):
        measure_speed()


def test_no_process_outlives_what_failed_before_the_speed_was_measured():
    before = _children()
    with pytest.raises(ValueError, match="analysis"), measuring_speed({}, image_bytes=4):
        raise ValueError("analysis")
    assert _children() == before


def _children():
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def test_models_of_one_architecture_share_one_figure(tmp_path, write_model):
    weights = {
        "one": {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)},
        "two": {"kernel": np.ones((4, 3)), "bias": np.ones(3)},
        "wide": {"kernel": np.zeros((4, 50)), "bias": np.zeros(50)},
    }
    models = {name: open_model(write_model(tmp_path / name, **each)) for name, each in weights.items()}
    speeds = measure_speed(models, image_bytes=4, seconds=0.01)
    assert speeds["one"] == speeds["two"]
    assert speeds["one"] != speeds["wide"]


class Noting(Servable):
    """Notes its calls."""

    def __init__(self, name, calls):
        super().__init__(pathlib.Path())
        self.architecture, self._calls = name, calls

    architecture = None
    parameters = 0

    @classmethod
    def lies_in(cls, directory):
        return False

    def predict(self, images):
        self._calls.append((self.architecture, len(images)))
        return np.zeros((len(images), 2))


def test_models_are_measured_in_turns():
    calls = []
    models = {name: Noting(name, calls) for name in ("a", "b")}
    measure_speed(models, image_bytes=4, seconds=0)
    turns = [(name, images) for (name, images), _ in itertools.groupby(calls)]
    warm_up_and_five_turns = [("a", 0), ("b", 0)] * 6
    assert turns == [(name, 1) for name, _ in warm_up_and_five_turns] + [
        (name, 64) for name, _ in warm_up_and_five_turns
    ]
    # 10 calls to warm up, and in each turn one that does not count and 4 that do.
    assert calls.count(("a", 1)) == 10 + 5 * (1 + 4)
