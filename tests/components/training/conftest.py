"""What the tests of training share."""

from collections.abc import Callable
from typing import Any

import pytest

from components.settings.models import ImageSettings, ModelSettings
from components.settings.training import HardwareSettings, TrainingJob


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
