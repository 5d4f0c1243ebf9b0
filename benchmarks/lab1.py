"""The cats_vs_dogs lab as one script: `python -m benchmarks.lab1 DATA_DIR TRAIN VALIDATION TEST`."""

import sys

import keras
import tensorflow_datasets as tfds

from benchmarks.labs import Lab1Distiller, lab1_batches
from components.models.cats_vs_dogs import cats_vs_dogs_student, cats_vs_dogs_teacher

PIXELS = 224


def main() -> None:
    """Trains teacher, scratch and distilled student, and prints their accuracies."""
    data_dir, *splits = sys.argv[1:]
    train, validation, test = tfds.load("cats_vs_dogs", split=splits, data_dir=data_dir, as_supervised=True)
    training = lab1_batches(train, pixels=PIXELS, shuffled=12_000 // 4)
    validating = lab1_batches(validation, pixels=PIXELS)
    testing = lab1_batches(test, pixels=PIXELS, batch_size=1)
    shape = (PIXELS, PIXELS, 3)

    teacher = _compiled(cats_vs_dogs_teacher(shape, 2))
    teacher.fit(training, epochs=8, validation_data=validating, verbose=0)
    scratch = _compiled(cats_vs_dogs_student(shape, 2))
    scratch.fit(training, epochs=5, validation_data=validating, verbose=0)
    distiller = Lab1Distiller(student=cats_vs_dogs_student(shape, 2), teacher=teacher)
    distiller.compile(optimizer=keras.optimizers.Adam())
    distiller.fit(training, epochs=5, validation_data=validating, verbose=0)
    for name, model in {"teacher": teacher, "scratch": scratch, "distilled": distiller}.items():
        print(name, model.evaluate(testing, return_dict=True, verbose=0))


def _compiled(model: keras.Model) -> keras.Model:
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


if __name__ == "__main__":
    main()
