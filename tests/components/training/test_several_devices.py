"""Trains on two devices, which one processor can stand for, in a process of its own."""

import pathlib
import subprocess
import sys

import pytest

SCRIPT = """
import sys

import numpy as np
import tensorflow as tf

from components.settings.training import TrainingJob
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised

folder = sys.argv[1]
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
assert tf.distribute.MirroredStrategy().num_replicas_in_sync == 2

pixels = np.random.default_rng(0).integers(0, 256, (100, 64), dtype=np.uint8)
with tf.io.TFRecordWriter(f"{folder}/examples") as writer:
    for number, image in enumerate(pixels):
        feature = (example := tf.train.Example()).features.feature
        feature["image"].bytes_list.value.append(image.tobytes())
        feature["label"].int64_list.value.append(int(image.mean() > 127))
        feature["id"].bytes_list.value.append(str(number).encode())
        writer.write(example.SerializeToString())
data = TrainingData(
    training_files=[f"{folder}/examples"], num_training_examples=100,
    validation_files=[f"{folder}/examples"], num_validation_examples=100, class_names=["dark", "light"],
)


def train(strategy):
    job = TrainingJob.model_validate({
        "name": "Teacher",
        "model": {
            "architecture": "digits_student", "epochs": 2, "batch_size": 32, "learning_rate": 0.1,
            "optimizer": {"name": "sgd", "weight_decay": 0.01},
            "schedule": "one_cycle", "clip_norm": 1000.0, "ema_decay": 0.8,
        },
        "image": {"height": 8, "width": 8, "channels": 1}, "hardware": {"strategy": strategy}, "seed": 1,
        "augment": {"shift": 0.1},
    })
    return train_model(job, data, objective=Supervised(), run_dir=f"{folder}/{strategy}").get_weights()


for one, other in zip(train("single"), train("mirrored"), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.long
def test_two_devices_train_as_one_does(tmp_path: pathlib.Path) -> None:
    """With momentum, weight decay, a schedule, averaged weights, and a norm that nothing reaches."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
