"""Trains on one device and on two, which one processor can stand for; for a process of its own.

Writes for each objective the losses of the epochs and the greatest difference of a weight, as JSON.
"""

import json
import pathlib
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.distiller.methods.dist import Dist
from components.distiller.methods.hint import Hint
from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.settings.training import TrainingJob
from components.training.callbacks.checkpoints import Checkpoints
from components.training.inputs.training_data import TrainingData
from components.training.job import Destination, train_and_export, train_model
from components.training.learner import Supervised
from components.training.online_teacher import OnlineTeacher

EXAMPLES = 97  # In batches of 32 the last has one, of which the second device gets none.
MODEL = {"architecture": "digits_student", "epochs": 3, "batch_size": 32, "learning_rate": 0.1}
RECIPE = {
    "optimizer": {"name": "sgd", "weight_decay": 0.01},
    "schedule": "one_cycle",
    "clip_norm": 1000.0,  # Which nothing reaches: each device clips its own share.
    "ema_decay": 0.8,
}


def main(folder: pathlib.Path, transform_graph: str) -> None:
    """Trains each of the cases on one device and on two."""
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    assert tf.distribute.MirroredStrategy().num_replicas_in_sync == 2
    found = {}
    for name, case in cases(folder).items():
        one, of_one = train(folder / name / "one", transform_graph, **case)
        two, of_two = train(folder / name / "two", transform_graph, strategy="mirrored", **case)
        found[name] = {
            "losses": [of_one, of_two],
            "difference": max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)),
        }
    (folder / "found.json").write_text(json.dumps(found))


def cases(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The objectives, with what each needs."""
    teacher = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(24, activation="relu", name="hidden"),
            keras.layers.Dense(2, name="logits"),
        ]
    )
    teacher.save(folder / "teacher.keras")
    data = write_data(folder, teacher)
    online = {"teacher": OnlineTeacher(keras_file=str(folder / "teacher.keras")), "data": data}
    hint = Hint(name="student", method="hint", teacher_layer="hidden", student_layer="dense")
    hinted = OnlineTeacher(keras_file=str(folder / "teacher.keras"), layers=hint.layers)
    kd = Distillation(Kd(name="student", method="kd"))
    return {
        "scratch": {"objective": Supervised(), "data": data},
        "recipe": {"objective": Supervised(), "data": data, "recipe": RECIPE},
        "kd": {"objective": kd, "data": data},
        "dist": {"objective": Distillation(Dist(name="student", method="dist")), "data": data},
        "hint": {"objective": Distillation(hint), "data": data, "teacher": hinted},
        "online": {"objective": kd, **online},
        "interrupted": {"objective": kd, "data": data, "interrupted": True},
    }


def write_data(folder: pathlib.Path, teacher: keras.Model) -> TrainingData:
    """Writes images of noise, and what the teacher says of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (EXAMPLES, 8, 8, 1), dtype=np.uint8)
    logits = teacher(pixels / 255.0).numpy()
    examples, predictions = str(folder / "examples"), str(folder / "predictions")
    with tf.io.TFRecordWriter(examples) as to_examples, tf.io.TFRecordWriter(predictions) as to_predictions:
        for number, image in enumerate(pixels):
            example, prediction = tf.train.Example(), tf.train.Example()
            for each in (example, prediction):
                each.features.feature["id"].bytes_list.value.append(str(number).encode())
            example.features.feature["image"].bytes_list.value.append(image.tobytes())
            example.features.feature["label"].int64_list.value.append(int(image.mean() > 127))
            prediction.features.feature["logits"].float_list.value.extend(logits[number])
            to_examples.write(example.SerializeToString())
            to_predictions.write(prediction.SerializeToString())
    return TrainingData(
        training_files=[examples],
        num_training_examples=EXAMPLES,
        validation_files=[examples],
        num_validation_examples=EXAMPLES,
        class_names=["dark", "light"],
        prediction_files=[predictions],
    )


def train(
    folder: pathlib.Path,
    transform_graph: str,
    *,
    strategy: str = "single",
    recipe: dict[str, Any] | None = None,
    interrupted: bool = False,
    **case: Any,
) -> tuple[list[np.ndarray], list[float]]:
    """Returns the weights that are exported, and the losses of the epochs."""
    job = TrainingJob.model_validate(
        {
            "name": "Student",
            "model": {**MODEL, **(recipe or {})},
            "image": {"height": 8, "width": 8, "channels": 1},
            "hardware": {"strategy": strategy},
            "seed": 1,
        }
    )
    destination = Destination(
        keras_file=str(folder / "model.keras"), serving_dir=str(folder / "serving"), run_dir=str(folder)
    )
    data = case.pop("data")
    if interrupted and strategy == "mirrored":  # After two epochs; the one device trains in one go.
        case["checkpoints"] = Checkpoints(directory=folder / "checkpoints", identity={"of": "the test"})
        train_model(job, data, run_dir=str(folder), epochs=range(2), **case)
    train_and_export(job, data, destination=destination, transform_graph=transform_graph, **case)
    history = json.loads((folder / "history.json").read_text())
    losses = [epoch["loss"] for epoch in history["epochs"]]
    return keras.saving.load_model(folder / "model.keras").get_weights(), losses


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
