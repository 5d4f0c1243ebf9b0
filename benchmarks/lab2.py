"""The MNIST lab as one script: `python -m benchmarks.lab2 DATA_DIR train test`."""

import sys

import keras
import numpy as np
import tensorflow_datasets as tfds

from benchmarks.labs import Lab2Distiller
from components.models.mnist import mnist_student, mnist_teacher

SHAPE = (28, 28, 1)
# The lab's weights of the distillation loss: what it calls supervised only, distillation only, and both.
ALPHAS = (1.0, 1.0, 0.5)


def main() -> None:
    """Trains a teacher and the three students, and prints their accuracies."""
    data_dir, *splits = sys.argv[1:]
    (train_images, train_labels), (test_images, test_labels) = (
        _load(data_dir, split=split) for split in splits
    )
    teacher = mnist_teacher(SHAPE, 10)
    teacher.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy()],
    )
    teacher.fit(train_images, train_labels, batch_size=64, epochs=20, verbose=0)
    print("teacher", teacher.evaluate(test_images, test_labels, verbose=0))
    for alpha in ALPHAS:
        distiller = Lab2Distiller(student=mnist_student(SHAPE, 10), teacher=teacher, alpha=alpha)
        distiller.compile(optimizer=keras.optimizers.Adam())
        distiller.fit(train_images, train_labels, epochs=5, verbose=0)
        print(alpha, distiller.evaluate(test_images, test_labels, batch_size=16, verbose=0))


def _load(data_dir: str, *, split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = tfds.as_numpy(
        tfds.load("mnist", split=split, data_dir=data_dir, as_supervised=True, batch_size=-1)
    )
    return images.reshape(-1, *SHAPE) / 255.0, keras.utils.to_categorical(labels)


if __name__ == "__main__":
    main()
