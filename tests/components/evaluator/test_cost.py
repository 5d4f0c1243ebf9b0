import pathlib

import numpy as np

from components.evaluator.cost import measure_cost


def test_cost_of_a_model_of_known_size(tmp_path, write_model):
    folder = pathlib.Path(write_model(tmp_path / "model", kernel=np.zeros((4, 3)), bias=np.zeros(3)))
    serving = tmp_path / "serving"
    (serving / "variables").mkdir(parents=True)
    (serving / "saved_model.pb").write_bytes(b"x" * 1000)
    (serving / "variables" / "data").write_bytes(b"x" * 234)

    cost = measure_cost(keras_file=folder / "model.keras", serving_dir=serving)

    assert cost.parameters == 4 * 3 + 3
    assert cost.num_outputs == 3
    assert cost.size_bytes == 1234
