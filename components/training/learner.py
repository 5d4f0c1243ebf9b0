"""A model together with what it is trained to minimise."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from components.training.hardware.devices import weigh_by_share
from components.training.losses import cross_entropy, has_label

Targets = dict[str, Any]
# From the images of a batch to further targets.
Teacher = Callable[[Any], Targets]


class Supervised(keras.losses.Loss):
    """Cross-entropy of a model's logits with the labels, per example.

    It is 0 for an example without a label. Of two mixed images it is the sum of both cross-entropies, by
    their shares: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018,
    https://arxiv.org/abs/1710.09412.

    Args:
      label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__(name="supervised")
        self._label_smoothing = label_smoothing

    def call(self, y_true: Targets, y_pred: Any) -> Any:
        """Returns the loss of each example, `[batch]`.

        Args:
          y_true: `label` `[batch]`, below 0 where there is none; of mixed images also `mixed_label` `[batch]`
            and `mixing` `[batch]`, the share of the image of `label`.
          y_pred: Logits `[batch, num_classes]`.
        """
        loss = self._cross_entropy(y_pred, y_true["label"])
        if "mixed_label" not in y_true:
            return loss
        share = y_true["mixing"]
        return share * loss + (1 - share) * self._cross_entropy(y_pred, y_true["mixed_label"])

    def _cross_entropy(self, logits: Any, labels: Any) -> Any:
        return cross_entropy(logits=logits, labels=labels, label_smoothing=self._label_smoothing)


class FiniteSteps(keras.metrics.Metric):
    """Counts the steps before the first one whose loss is not finite, within an epoch."""

    def __init__(self, name: str = "finite_steps") -> None:
        super().__init__(name=name)
        self._steps = self.add_variable((), "zeros", name="steps")
        self._diverged = self.add_variable((), "zeros", name="diverged")

    def update_state(self, loss: Any) -> None:
        """Takes the loss of one step, a scalar."""
        finite = ops.cast(ops.isfinite(loss), "float32")
        self._diverged.assign(ops.maximum(self._diverged, 1 - finite))
        self._steps.assign(self._steps + 1 - self._diverged)

    def result(self) -> Any:
        """Returns the number of steps, a scalar."""
        return self._steps


class Learner(keras.Model):
    """Trains a model on an objective that may look at more than the labels.

    The wrapped model stays a plain one: what only training needs is left behind with the learner.

    Args:
      model: Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`.
      objective: A loss of targets and logits. The targets are those of the data, `{"label": [batch],
        ...}`, those of `teacher` and `shown`, and `epoch`, the number of the epoch, from 0. Training
        minimises its mean plus the model's own regularisation losses. Validation always measures
        `Supervised`, so that models of different objectives can be compared.
      teacher: Gives the objective further targets of the images that the model is trained on, which replace
        those of the same name in the data; nothing of it is trained, or kept with the learner. Validation
        does not ask it.
      shown: Shares the model's layers and returns, beside the `logits`, what else the objective looks at, by
        name. It runs instead of the model in training; layers that it adds are trained too.
    """

    def __init__(
        self,
        *,
        model: keras.Model,
        objective: keras.losses.Loss,
        teacher: Teacher | None = None,
        shown: keras.Model | None = None,
    ) -> None:
        super().__init__(name=f"{model.name}_learner")
        self.model = model
        self._objective = objective
        self._ask_teacher = teacher
        self._shown = shown
        self._supervised = Supervised()
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self._finite_steps = FiniteSteps()
        self._epoch = self.add_weight((), initializer="zeros", trainable=False, name="epoch")

    def begin_epoch(self, epoch: int) -> None:
        """Sets the number of the epoch, from 0, for the objective."""
        self._epoch.assign(epoch)

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns the model's `logits`, and in training what else the objective looks at."""
        if training and self._shown is not None:
            return self._shown(images, training=True)
        return {"logits": self.model(images, training=training)}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the mean loss of a batch, a scalar."""
        if not training:
            return self._supervised(y, y_pred["logits"], sample_weight)
        targets = y | y_pred | {"epoch": self._epoch}
        if self._ask_teacher:
            targets |= {name: ops.stop_gradient(value) for name, value in self._ask_teacher(x).items()}
        loss = self._objective(targets, y_pred["logits"], sample_weight)
        loss = weigh_by_share(loss, examples=ops.shape(y_pred["logits"])[0])
        for own in self.model.losses:
            loss += self._aggregate_additional_loss(own)
        self._finite_steps.update_state(loss)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Updates the accuracy, for which examples without a label do not count, and returns every metric."""
        counts = ops.cast(has_label(y["label"]), "float32")
        weights = counts if sample_weight is None else counts * sample_weight
        self._accuracy.update_state(y["label"], y_pred["logits"], weights)
        return self.get_metrics_result()
