"""What the programs share that train the models of an experiment with several seeds and test them."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from benchmarks.examples import Examples, write_examples
from benchmarks.predictions import store_predictions
from components.distiller.methods.base import Method
from components.distiller.objective import Distillation
from components.files import read_json
from components.layout import HISTORY_FILE, UNLABELLED
from components.settings.models import TrainedModel
from components.settings.training import TrainingJob, Views
from components.training.inputs.batches import ordered_batches
from components.training.inputs.training_data import TrainingData
from components.training.job import train_model
from components.training.learner import Supervised
from components.training.online_teacher import OnlineTeacher
from pipeline.config.experiment import Config

_BATCH_SIZE = 128


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of an experiment: of each split the ids, and the files of transformed examples."""

    ids: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[str]]
    num_classes: int

    @classmethod
    def write(cls, splits: Mapping[str, Examples], directory: pathlib.Path) -> Self:
        """Writes the examples of each split, unless that was done."""
        for split, examples in splits.items():
            if not (directory / split).exists():
                partial = directory / f"{split}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                write_examples(examples, partial)
                partial.rename(directory / split)
        return cls(
            ids={split: list(examples.ids) for split, examples in splits.items()},
            files={split: sorted(map(str, (directory / split).iterdir())) for split in splits},
            num_classes=1 + int(max(examples.labels.max() for examples in splits.values())),
        )


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model with the weights of its best epoch, and the entries of its history, one an epoch."""

    model: keras.Model
    epochs: Sequence[Mapping[str, Any]]

    @property
    def validation_accuracy(self) -> float:
        """Of the best epoch."""
        return max(float(epoch["val_accuracy"]) for epoch in self.epochs)


class Bench:
    """Trains and tests the models of an experiment with one seed, as the pipeline would.

    Args:
      config: The experiment, whose teacher is one that is trained.
      images: What to train, validate and test on.
      seed: Takes the place of that of the experiment.
      folder: Where the teacher, its predictions and the histories go.
    """

    def __init__(self, config: Config, images: Images, *, seed: int, folder: pathlib.Path) -> None:
        self._config = config.model_copy(update={"seed": seed})
        self._images = images
        self._folder = folder
        self._teacher_file = folder / "teacher.keras"

    def train(self, name: str, settings: TrainedModel) -> Trained:
        """Trains a model on the labels; its history goes into the folder of that name."""
        return self._fit(name, settings, data=self._data, objective=Supervised())

    def train_teacher(self) -> Trained:
        """Trains the teacher of all that are distilled."""
        teacher = self.train("teacher", self._config.teacher)
        teacher.model.save(self._teacher_file)
        return teacher

    def distil(
        self, name: str, method: Method, *, predictions: Mapping[str, Sequence[str]] | None = None
    ) -> Trained:
        """Trains the student on what the teacher says, stored or in each step as the experiment has it.

        Args:
          name: See `train`.
          method: By which it is distilled.
          predictions: Files of the teacher's predictions by split, instead of those of `predict`.
        """
        data = self._data
        if UNLABELLED in self._images.files:
            data = dataclasses.replace(
                data,
                unlabelled_files=self._images.files[UNLABELLED],
                num_unlabelled_examples=len(self._images.ids[UNLABELLED]),
            )
        teacher = None
        if self._config.asks_teacher(method):
            teacher = OnlineTeacher(keras_file=str(self._teacher_file), layers=method.layers)
        else:
            predictions = predictions or self.predict()
            data = dataclasses.replace(
                data,
                prediction_files=predictions["train"],
                unlabelled_prediction_files=predictions.get(UNLABELLED, ()),
            )
        return self._fit(
            name,
            self._config.student,
            data=data,
            objective=Distillation(method),
            teacher=teacher,
            views=self._config.views,
        )

    def predict(self, *, top_k: int | None = None) -> dict[str, list[str]]:
        """Returns the files of the teacher's predictions by split, which it makes if need be.

        Args:
          top_k: Of how many classes logits are stored one by one; None is of all.
        """
        return store_predictions(
            self._teacher_file,
            {split: self._images.files[split] for split in self._config.predicted_splits},
            image_shape=self._config.image.shape,
            directory=self._folder / (f"predictions-{top_k}" if top_k else "predictions"),
            views=self._config.views,
            top_k=top_k,
        )

    def test(self, trained: Trained) -> dict[str, bool]:
        """Returns whether a model is right, by the id of each test image."""
        predict = tf.function(lambda images: tf.argmax(trained.model(images, training=False), axis=-1))
        correct: dict[str, bool] = {}
        for images, targets in ordered_batches(
            self._images.files["test"], image_shape=self._config.image.shape, batch_size=_BATCH_SIZE
        ):
            right = predict(images) == targets["label"]
            pairs = zip(targets["id"].numpy(), right.numpy(), strict=True)
            correct |= {name.decode(): bool(each) for name, each in pairs}
        return correct

    @property
    def _data(self) -> TrainingData:
        files, ids = self._images.files, self._images.ids
        return TrainingData(
            training_files=files["train"],
            num_training_examples=len(ids["train"]),
            validation_files=files["validation"],
            num_validation_examples=len(ids["validation"]),
            class_names=[str(label) for label in range(self._images.num_classes)],
        )

    def _fit(
        self,
        name: str,
        settings: TrainedModel,
        *,
        data: TrainingData,
        objective: keras.losses.Loss,
        teacher: OnlineTeacher | None = None,
        views: Views | None = None,
    ) -> Trained:
        job = TrainingJob(
            name=name,
            model=settings,
            image=self._config.image,
            hardware=self._config.hardware,
            seed=self._config.seed,
            augment=None if views else self._config.augment,
            views=views,
        )
        run_dir = self._folder / name
        model = train_model(job, data, objective=objective, run_dir=str(run_dir), teacher=teacher)
        return Trained(model, read_json(run_dir / HISTORY_FILE)["epochs"])
