"""What the two labs do, written from their text for today's Keras: the contenders of the benchmarks.

The labs' arithmetic is left as it is, faults included: lab 2 applies softmax twice, and neither scales its
loss by the temperature squared. Architectures are those of `components.models`, which the labs gave.
"""

from typing import Any

import keras
import tensorflow as tf


class Lab1Distiller(keras.Model):
    """The Distiller of the cats_vs_dogs lab: the teacher runs in every step.

    Args:
      student: Maps images to logits.
      teacher: Likewise.
      alpha: Weight of the student's own loss.
      temperature: Of both softmaxes.
    """

    def __init__(
        self, *, student: keras.Model, teacher: keras.Model, alpha: float = 0.05, temperature: float = 5.0
    ) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher
        self._alpha, self._temperature = alpha, temperature
        self._student_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._distillation_loss = keras.losses.KLDivergence()
        self._accuracy = keras.metrics.SparseCategoricalAccuracy()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The accuracy alone, as the lab compiles it."""
        return [self._accuracy]

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the student's logits."""
        return self.student(x, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs the teacher and trains the student on a batch."""
        x, y = data
        teacher_predictions = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            student_predictions = self.student(x, training=True)
            student_loss = self._student_loss(y, student_predictions)
            distillation_loss = self._distillation_loss(
                tf.nn.softmax(teacher_predictions / self._temperature, axis=1),
                tf.nn.softmax(student_predictions / self._temperature, axis=1),
            )
            loss = self._alpha * student_loss + (1 - self._alpha) * distillation_loss
        variables = self.student.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._accuracy.update_state(y, student_predictions)
        return {
            "accuracy": self._accuracy.result(),
            "student_loss": student_loss,
            "distillation_loss": distillation_loss,
        }

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measures the student on a batch."""
        x, y = data
        predictions = self.student(x, training=False)
        self._accuracy.update_state(y, predictions)
        return {"accuracy": self._accuracy.result(), "student_loss": self._student_loss(y, predictions)}


class Lab2Distiller(keras.Model):
    """The Distiller of the MNIST lab: the teacher runs in every step; labels are one-hot.

    Args:
      student: Maps images to logits.
      teacher: Likewise.
      alpha: Weight of the distillation loss.
      temperature: The lab's T.
    """

    def __init__(
        self, *, student: keras.Model, teacher: keras.Model, alpha: float = 0.5, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher
        self._alpha, self._temperature = alpha, temperature
        self._accuracy = keras.metrics.CategoricalAccuracy()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The accuracy alone, as the lab compiles it."""
        return [self._accuracy]

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the student's logits."""
        return self.student(x, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs the teacher and trains the student on a batch."""
        x, y = data
        teacher_predictions = self.teacher(x)
        with tf.GradientTape() as tape:
            predictions = self.student(x)
            loss_distillation = keras.losses.categorical_crossentropy(
                tf.nn.softmax(teacher_predictions / self._temperature, axis=1),
                tf.nn.softmax(predictions / self._temperature, axis=1),
                from_logits=True,
            )
            loss_supervised = keras.losses.categorical_crossentropy(y, predictions, from_logits=True)
            loss = self._alpha * loss_distillation + (1 - self._alpha) * loss_supervised
        variables = self.student.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._accuracy.update_state(y, predictions)
        # The lab returns the losses of each example; Keras 3 takes numbers only.
        return {"accuracy": self._accuracy.result(), "loss": tf.reduce_mean(loss)}

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measures the student on a batch."""
        x, y = data
        self._accuracy.update_state(y, self.student(x, training=False))
        return {"accuracy": self._accuracy.result()}


def lab1_batches(
    examples: tf.data.Dataset, *, pixels: int, batch_size: int = 32, shuffled: int = 0
) -> tf.data.Dataset:
    """Makes the lab's batches: decoded by TFDS, resized and scaled again in each epoch.

    Args:
      examples: `(image, label)` as `tfds.load(as_supervised=True)` gives them.
      pixels: Height and width.
      batch_size: Images in a batch.
      shuffled: Size of the shuffle buffer; 0 leaves the order.
    """

    def format_image(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.image.resize(image, (pixels, pixels)) / 255.0, label

    if shuffled:
        examples = examples.shuffle(shuffled)
    return examples.map(format_image).batch(batch_size).prefetch(1)
