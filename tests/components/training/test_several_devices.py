"""Trains on two devices, which one processor can stand for, in a process of its own."""

import pathlib
import subprocess
import sys

SCRIPT = """
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from components.settings.training import TrainingJob
from components.training.inputs.batches import epoch_counter
from components.training.learner import Learner, Supervised
from components.training.loop import Batches, fit

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
job = TrainingJob.model_validate({
    "name": "Teacher",
    "model": {
        "architecture": "digits_student", "epochs": 2, "batch_size": 32, "learning_rate": 0.1,
        "optimizer": {"name": "sgd", "weight_decay": 0.01},
        "schedule": "one_cycle", "clip_norm": 1000.0, "ema_decay": 0.8,
    },
    "image": {"height": 8, "width": 8, "channels": 1}, "hardware": {}, "seed": 1,
})
random = np.random.default_rng(0)
images = random.random((100, 8, 8, 1), dtype=np.float32)
labels = images.mean(axis=(1, 2, 3)) > 0.5


def train(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
        batches = tf.data.Dataset.from_tensor_slices((images, {"label": labels.astype(np.int64)})).batch(32)
        fit(
            Learner(model=model, objective=Supervised()),
            job,
            batches=Batches(training=batches, validation=batches, epoch=epoch_counter()),
            run_dir=pathlib.Path(sys.argv[1]),
        )
    return model.get_weights()


strategy = tf.distribute.MirroredStrategy()
assert strategy.num_replicas_in_sync == 2
for one, other in zip(train(tf.distribute.get_strategy()), train(strategy), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
"""


def test_two_devices_train_as_one_does(tmp_path: pathlib.Path) -> None:
    """With momentum, weight decay, a schedule, averaged weights, and a norm that nothing reaches."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
