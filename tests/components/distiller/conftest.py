"""What a Distiller reads, and a run of its executor."""

from __future__ import annotations

import json
import pathlib
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from components.settings.models import ImageSettings

if typing.TYPE_CHECKING:
    import keras

    from components.distiller.methods.base import Method
    from components.settings.training import TrainingJob, Views

SIZES = {"train": 24, "validation": 8, "test": 4}


class Given(NamedTuple):
    """The artifacts that a Distiller reads, and what they hold."""

    inputs: dict[str, list[Any]]
    teacher: keras.Model
    pixels: dict[str, np.ndarray]

    def images(self, *splits: str) -> np.ndarray:
        """Returns the images of some splits as a model sees them."""
        return np.concatenate([self.pixels[split] for split in splits]).reshape(-1, 8, 8, 1) / 255


@pytest.fixture
def image() -> ImageSettings:
    return ImageSettings(height=8, width=8, channels=1)


@pytest.fixture
def give(
    tmp_path: pathlib.Path,
    image: ImageSettings,
    artifact: Callable[..., Any],
    make_data: Callable[..., Any],
    make_schema: Callable[..., Any],
    transform_graph: str,
    write_examples: Callable[..., str],
) -> Callable[..., Given]:
    """A function that writes examples of even and odd images, and a teacher.

    Besides, there may be images without labels. The predictions of the teacher are stored for some splits.
    """
    import keras
    from tfx.types import standard_artifacts

    from components import tfx_patches
    from components.artifacts import TeacherPredictions
    from components.teacher_predictions import executor as teacher_predictions

    def run(
        *layers: keras.Layer,
        stored: Sequence[str],
        views: Views | None = None,
        labelled: bool = True,
        unlabelled: int = 0,
    ) -> Given:
        sizes = SIZES | ({"unlabelled": unlabelled} if unlabelled else {})
        labels = {split: [index % 2 for index in range(count)] for split, count in SIZES.items()}
        labels |= {split: [-1] * count for split, count in sizes.items() if split not in SIZES}
        data = make_data(labels, class_names=["even", "odd"])
        random = np.random.default_rng(0)
        pixels = {split: random.integers(0, 256, (count, 64)) for split, count in sizes.items()}
        for split, count in sizes.items():
            folder = tmp_path / "transformed" / f"Split-{split}"
            folder.mkdir(parents=True)
            write_examples(
                folder / "part-0",
                pixels=pixels[split],
                labels=labels[split] if labelled else [-1] * count,
                ids=[f"{split} {index}" for index in range(count)],
            )
        keras.utils.set_random_seed(5)
        teacher = keras.Sequential(
            [keras.Input(image.shape), keras.layers.Flatten(), *layers, keras.layers.Dense(2)]
        )
        (tmp_path / "teacher").mkdir()
        teacher.save(tmp_path / "teacher" / "model.keras")
        inputs = {
            "examples": [artifact(standard_artifacts.Examples, tmp_path / "transformed", splits=list(sizes))],
            "teacher": [artifact(standard_artifacts.Model, tmp_path / "teacher")],
        }
        predictions = {}
        if stored:
            uri = tmp_path / "TeacherPredictions/predictions/1"
            predictions["teacher_predictions"] = [artifact(TeacherPredictions, uri)]
            context = teacher_predictions.Executor.Context(tmp_dir=str(tmp_path / "temporary"), unique_id="1")
            with tfx_patches.wherever_nodes_run():
                teacher_predictions.Executor(context).Do(
                    inputs,
                    {"predictions": predictions["teacher_predictions"]},
                    {
                        "image": image.model_dump_json(),
                        "splits": json.dumps(stored),
                        "views": views and views.model_dump_json(),
                    },
                )
        rest = {
            "schema": [make_schema(data)],
            "statistics": [data.statistics],
            "transform_graph": [artifact(standard_artifacts.TransformGraph, transform_graph)],
        }
        return Given(inputs | predictions | rest, teacher, pixels)

    return run


@pytest.fixture
def run_distiller(tmp_path: pathlib.Path, artifact: Callable[..., Any]) -> Callable[..., pathlib.Path]:
    """A function that runs the node, and returns the directory of its `model` and its `model_run`."""
    from tfx.types import standard_artifacts

    from components.distiller.executor import Executor

    def run(
        given: Given,
        job: TrainingJob,
        method: Method,
        *,
        asks_teacher: bool = False,
        attempt: str = "student",
        **parameters: str,
    ) -> pathlib.Path:
        Executor().Do(
            given.inputs,
            {
                "model": [artifact(standard_artifacts.Model, tmp_path / attempt / "model")],
                "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / attempt / "model_run")],
            },
            {
                "job": job.model_dump_json(),
                "distillation": method.model_dump_json(),
                "asks_teacher": int(asks_teacher),
                **parameters,
            },
        )
        return tmp_path / attempt

    return run
