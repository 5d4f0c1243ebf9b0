"""What the tests of training share."""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.settings.models import ImageSettings, ModelSettings, TrainedModel
from components.settings.training import HardwareSettings, TrainingJob

if typing.TYPE_CHECKING:
    import keras


@pytest.fixture(scope="session")
def make_job() -> Callable[..., TrainingJob]:
    """A function that makes a job of small images, and of settings by their names, wherever they belong."""

    def make(*, shape: tuple[int, int, int] = (8, 8, 1), **settings: Any) -> TrainingJob:
        def own(kind: type[ModelSettings | HardwareSettings]) -> dict[str, Any]:
            return {key: settings.pop(key) for key in kind.model_fields if key in settings}

        model = {"architecture": "digits_student", "epochs": 1, "batch_size": 32, "learning_rate": 0.01}
        height, width, channels = shape
        return TrainingJob(
            model=ModelSettings(**(model | own(ModelSettings))),
            hardware=HardwareSettings(**own(HardwareSettings)),
            image=ImageSettings(height=height, width=width, channels=channels),
            **({"name": "Teacher", "seed": 7} | settings),
        )

    return make


@pytest.fixture
def train_on_noise(tmp_path: pathlib.Path, write_examples: Callable[..., str]) -> Callable[..., keras.Model]:
    """A function that trains on 16 images of noise, of two classes, and returns the model.

    The student is trained from scratch, or as one that is distilled from the labels alone. The history goes
    into the directory of its name.
    """
    import keras

    from components.distiller.methods.kd import Kd
    from components.distiller.objective import Distillation
    from components.training.inputs.training_data import TrainingData
    from components.training.job import train_model
    from components.training.learner import Supervised
    from components.training.online_teacher import OnlineTeacher

    def run(
        settings: TrainedModel, *, shape: tuple[int, int, int], name: str = "Scratch", distilled: bool = False
    ) -> keras.Model:
        examples = write_examples(
            tmp_path / "examples.tfrecord",
            pixels=np.random.default_rng(0).integers(0, 256, (16, *shape)),
            labels=[0, 1] * 8,
            ids=[str(i) for i in range(16)],
        )
        teacher = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)])
        teacher.save(tmp_path / "teacher.keras")
        height, width, channels = shape
        return train_model(
            TrainingJob(
                name=name,
                model=settings,
                image=ImageSettings(height=height, width=width, channels=channels),
                hardware=HardwareSettings(),
                seed=7,
            ),
            TrainingData(
                training_files=[examples],
                num_training_examples=16,
                validation_files=[examples],
                num_validation_examples=16,
                class_names=["even", "odd"],
            ),
            objective=Distillation(Kd(name="student", method="kd", student_loss_weight=1.0))
            if distilled
            else Supervised(),
            run_dir=str(tmp_path / name),
            teacher=OnlineTeacher(keras_file=str(tmp_path / "teacher.keras")) if distilled else None,
        )

    return run
