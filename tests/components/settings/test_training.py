import json
from typing import Any

import pytest

from components.settings.training import TrainingJob

MODEL = {"architecture": "digits_student", "epochs": 3, "batch_size": 32, "learning_rate": 0.001}
FINE_TUNED = MODEL | {"architecture": "keras.applications.VGG16", "weights": None, "head_epochs": 2}
CONTINUED = {"from": "student.keras", "epochs": 3, "batch_size": 32, "learning_rate": 0.001}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": FINE_TUNED},
        {"model": CONTINUED},
        {"model": MODEL | {"optimizer": "sgd", "schedule": "cosine", "clip_norm": 1.0, "ema_decay": 0.99}},
        {"model": MODEL | {"schedule": {"name": "steps", "milestones": [1, 2]}}},
        {"class_weights": "balanced"},
        {"class_weights": {"cat": 2.0}},
        {"augment": {"crop": 0.5, "mixup": 0.2}, "labels": False},
        {"views": {"number": 8, "seed": 7, "augment": {"crop": 0.5}}},
        {"hardware": {"precision": "auto", "strategy": "mirrored"}, "checkpoint_directory": "/checkpoints"},
    ],
)
def test_a_job_survives_the_way_through_tfx_which_is_json(changes: dict[str, Any]) -> None:
    image = {"height": 8, "width": 8, "channels": 1}
    values = {"name": "Teacher", "model": MODEL, "image": image, "hardware": {}, "seed": 7}
    job = TrainingJob.model_validate(values | changes)

    sent = json.loads(json.dumps({"job": job.model_dump(mode="json")}))

    received = TrainingJob.model_validate(sent["job"])
    assert received == job
    assert type(received.model) is type(job.model)
