import logging

import numpy as np
import pytest
from pydantic import TypeAdapter

from components.distiller.adapter import warn_of_uniform_labels
from components.settings.distillation import DistillationSettings


# Of two classes whose logits differ by 1, the probabilities differ by tanh(1 / 2T), that is 1 / 2T for a
# large T; standardised, the logits are -1 and 1. Float32 tells 0.5 from 0.5 + 6e-8.
@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({"method": "kd", "temperature": 4.0}, False),
        ({"method": "kd", "temperature": 1e6}, False),
        ({"method": "kd", "temperature": 1e8}, True),
        ({"method": "dkd", "temperature": 1e8}, True),
        ({"method": "kd", "temperature": 1e8, "standardise_logits": True}, True),
        ({"method": "logits_mse"}, False),
    ],
)
def test_a_temperature_that_leaves_nothing_of_the_teacher_is_told(
    settings: dict[str, object], is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    distillation = TypeAdapter(DistillationSettings).validate_python({"name": "student", **settings})
    logits = np.array([[0.0, 1.0], [3.0, 2.0], [1.0, 1.0]], np.float32)

    with caplog.at_level(logging.INFO):
        warn_of_uniform_labels(distillation, logits, name="Distiller-student")

    told = [record.told for record in caplog.records if hasattr(record, "told")]
    assert bool(told) == is_told
    assert all("lower the temperature" in message for message in told)
